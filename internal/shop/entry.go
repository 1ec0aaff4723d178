package shop

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// List is one of the two lists that operators keep of whom the gate treats
// otherwise than everybody.
type List uint8

// The lists. Their numbers are stored: never reorder.
const (
	Block List = iota + 1 // turned away, and told so
	Allow                 // past the limits
)

// Lists returns both.
func Lists() []List { return []List{Block, Allow} }

func (l List) String() string {
	switch l {
	case Block:
		return "block"
	case Allow:
		return "allow"
	}
	return "unknown"
}

// ParseList reads the name of a list.
func ParseList(name string) (List, bool) {
	for _, list := range Lists() {
		if list.String() == name {
			return list, true
		}
	}
	return 0, false
}

// Subject is whom an entry concerns: the addresses of a prefix, or a buyer.
type Subject struct {
	Prefix netip.Prefix // of no IPv4 inside IPv6; the zero Prefix: a buyer
	Buyer  string
}

// buyerMark begins a subject that is a buyer.
const buyerMark = "buyer:"

// ParseSubject reads an address, a prefix, or buyer:ID. What it says of a wrong
// text does not repeat the text: it may be an address that no log should show.
func ParseSubject(text string) (Subject, error) {
	if buyer, ok := strings.CutPrefix(text, buyerMark); ok {
		return Subject{Buyer: buyer}, CheckBuyer(buyer)
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return Subject{Prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return Subject{}, errors.New("is neither an address, nor a prefix, nor a buyer; write such as 203.0.113.9, 2001:db8::/48 or buyer:ID")
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= v4InV6 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-v4InV6)
	}
	if prefix.Masked() != prefix {
		return Subject{}, errors.New("has bits set behind the length of its prefix; write zeros there, such as 10.0.0.0/8, or the address alone")
	}
	if prefix.Bits() == 0 {
		return Subject{}, errors.New("is everybody; name a network, or pause the sale")
	}
	return Subject{Prefix: prefix}, nil
}

// v4InV6 is how long the prefix of IPv4 addresses inside IPv6 is.
const v4InV6 = 128 - 32

// String returns what ParseSubject reads, the same for all spellings of one
// subject.
func (s Subject) String() string {
	switch {
	case s.Buyer != "":
		return buyerMark + s.Buyer
	case s.Prefix.IsSingleIP():
		return s.Prefix.Addr().String()
	}
	return s.Prefix.String()
}

// Entry is a line of a list.
type Entry struct {
	List    List
	Subject Subject
	Until   time.Time // when it ends; zero: when it is removed
	Reason  string    // for the shop's people; a buyer never sees it
	By      string    // who wrote it, as far as they said
	At      time.Time // when; zero: it stands in a file
}

// NoteMax bounds the reason of an entry and who wrote it, in runes.
const NoteMax = 200

// EntriesMax is how many entries a file, or the operators' API, may bring: more
// than any list of hosting networks has, in some 20 MB.
const EntriesMax = 100_000

// Ended reports whether the entry counts no longer.
func (e *Entry) Ended(now time.Time) bool { return !e.Until.IsZero() && !now.Before(e.Until) }

// ParseEntries reads a list that a person or a program keeps in a file: one
// subject a line; # begins a comment, which is the reason where it stands behind
// a subject. Faults name the line of the file, all at once.
func ParseEntries(list List, file string, text []byte) ([]Entry, error) {
	var entries []Entry
	var faults Faults
	seen := map[Subject]bool{}
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		number++
		name, reason := cutComment(strings.TrimSpace(string(line)))
		if name == "" {
			continue
		}
		subject, err := ParseSubject(name)
		switch {
		case err != nil:
			faults.add(fmt.Sprintf("%s:%d", file, number), "%v", err)
		case !seen[subject]:
			seen[subject] = true
			entries = append(entries, Entry{List: list, Subject: subject, Reason: reason, By: file})
		}
	}
	if len(entries) > EntriesMax {
		faults.add(file, "has %d entries; a list may have %d: write wider prefixes", len(entries), EntriesMax)
	}
	return entries, faults.err()
}

// cutComment cuts a line at the # that begins it or follows a space: a buyer's
// id may hold one.
func cutComment(line string) (name, comment string) {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return strings.TrimSpace(line[:i]), note(line[i+1:])
		}
	}
	return line, ""
}

// note makes one line of at most NoteMax characters of any text.
func note(text string) string {
	runes := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)))
	return string(runes[:min(len(runes), NoteMax)])
}

// CheckNote says what is wrong with the reason of an entry or with who wrote
// it, or nil.
func CheckNote(text string) error {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > NoteMax || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("write one line of at most %d characters", NoteMax)
	}
	return nil
}

// CheckBuyer says what is wrong with a buyer's id, or nil.
func CheckBuyer(id string) error {
	if len(id) == 0 || len(id) > BuyerMax {
		return fmt.Errorf("buyer id has %d bytes; it may have 1 to %d", len(id), BuyerMax)
	}
	if !utf8.ValidString(id) {
		return errors.New("buyer id is not valid UTF-8")
	}
	for _, r := range id {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("buyer id has the character %U, which does not print", r)
		}
	}
	return nil
}
