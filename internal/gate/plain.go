package gate

import (
	"slices"
	"time"
)

const (
	// plainMembers bounds what a plain payload holds: issuers write three to
	// six claims.
	plainMembers = 8
	// plainDateMax is far above any date of today, and below numericDateMax.
	plainDateMax = 1 << 32
)

// plainJSON reads the common shape of a payload in place: one object without
// blanks, strings of printable ASCII without escapes, whole numbers, no name
// twice. What is not plain is not wrong: the careful way decides about it.
type plainJSON struct{ rest []byte }

func (p *plainJSON) payload() (c payload, ok bool) {
	var names [plainMembers]string
	for n := range names {
		opening := byte(',')
		if n == 0 {
			opening = '{'
		}
		name, ok := p.name(opening)
		if !ok || slices.Contains(names[:n], name) || !p.member(name, &c) {
			return payload{}, false
		}
		names[n] = name
		if len(p.rest) == 1 && p.rest[0] == '}' {
			return c, true
		}
	}
	return payload{}, false
}

// member reads one value into its place.
func (p *plainJSON) member(name string, into *payload) (ok bool) {
	switch name {
	case "sub":
		into.who.Buyer, ok = p.text()
	case "sale":
		into.who.Sale, ok = p.text()
		ok = ok && into.who.Sale != ""
	case "exp":
		into.expires, ok = p.date()
	case "nbf":
		into.notBefore, ok = p.date()
	case "iat":
		_, ok = p.date()
	default:
		_, ok = p.text()
	}
	return ok
}

func (p *plainJSON) name(opening byte) (string, bool) {
	if !p.next(opening) {
		return "", false
	}
	name, ok := p.text()
	return name, ok && p.next(':')
}

func (p *plainJSON) next(c byte) bool {
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *plainJSON) text() (string, bool) {
	if !p.next('"') {
		return "", false
	}
	for i, c := range p.rest {
		if c == '"' {
			text := string(p.rest[:i])
			p.rest = p.rest[i+1:]
			return text, true
		}
		if c < ' ' || c > '~' || c == '\\' {
			return "", false
		}
	}
	return "", false
}

// date reads a whole number of seconds.
func (p *plainJSON) date() (int64, bool) {
	seconds, digits := int64(0), 0
	for digits < len(p.rest) && p.rest[digits] >= '0' && p.rest[digits] <= '9' {
		seconds = seconds*10 + int64(p.rest[digits]-'0')
		if digits++; seconds > plainDateMax {
			return 0, false
		}
	}
	if digits == 0 || (p.rest[0] == '0' && digits > 1) {
		return 0, false
	}
	p.rest = p.rest[digits:]
	return seconds * int64(time.Second), true
}
