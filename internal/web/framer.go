package web

import (
	"bytes"
	"encoding/binary"
)

// Bounds of a request. They are read before the server parses it.
const (
	headMax = 8 << 10 // bytes of request line and header fields
	bodyMax = 4 << 10 // bytes; the longest order is a tenth of it
)

// framer follows the requests on one connection byte by byte, before the
// server parses them, and stops at the first that two parsers could read in
// two ways: that is how requests are smuggled past a proxy. What it lets pass
// has a request line and header fields ended by CRLF, an origin-form target, a
// version of HTTP/1.0 or 1.1, proper field names, values without control
// characters, and a body whose length one Content-Length tells.
//
// The zero framer waits for the first request.
type framer struct {
	line []byte // of the header line under way, what earlier reads brought
	head int    // bytes of the header under way; 0: between requests
	body int    // bytes of the body still to come
	size int    // Content-Length of the header under way
	once fields // seen in the header under way
	seen glimpse
}

// glimpse is what the framer noticed of a request. It points into what was
// read, and is good only for a request that came in one piece.
type glimpse struct {
	host, key, authorization []byte
	origin                   []byte // good after a fault, too: nothing more is read then
	contentType              []byte
	length                   int    // of its body
	forwarded                []byte // the line that names whom it was forwarded for; nil: none does

	tangled bool // there are several such lines, or one that is too long to walk in passing
	special bool // there is more to it than a quick answer heeds
}

// forwardedMax is longer than a list of proxies that anybody runs, in bytes.
const forwardedMax = 256

// fields is a set of header fields that may come once at most.
type fields uint8

const (
	fieldHost fields = 1 << iota
	fieldLength
	fieldType
	fieldAuthorization
	fieldKey
	fieldOrigin
)

// idle reports whether the connection is between two requests.
func (f *framer) idle() bool { return f.head == 0 && f.body == 0 }

// follow reads p, which continues the connection. It returns len(p) and sound,
// or else why the connection cannot go on, and how many bytes of p belong to
// sound requests before that.
func (f *framer) follow(p []byte) (int, fault) {
	at := 0
	for at < len(p) {
		n, _, no := f.one(p[at:])
		if no != sound {
			return at, no
		}
		at += n
	}
	return at, sound
}

// one reads to the end of the request under way, or of p. It returns how many
// bytes it read, and whether the request is whole.
func (f *framer) one(p []byte) (n int, whole bool, no fault) {
	for n < len(p) {
		if f.body > 0 {
			part := min(f.body, len(p)-n)
			f.body -= part
			n += part
		} else if end := bytes.IndexByte(p[n:], '\n'); end >= 0 {
			no = f.take(p[n : n+end+1])
			n += end + 1
		} else {
			return len(p), false, f.keep(p[n:])
		}
		if no != sound || f.idle() {
			return n, true, no
		}
	}
	return n, false, sound
}

// keep remembers the beginning of a line until its end comes.
func (f *framer) keep(part []byte) fault {
	f.head += len(part)
	if f.head > headMax {
		return longHead
	}
	f.line = append(f.line, part...)
	return sound
}

// take reads one whole line of a header.
func (f *framer) take(line []byte) fault {
	first := f.head == len(f.line) // nothing before this line
	f.head += len(line)
	if f.head > headMax {
		return longHead
	}
	if first {
		f.seen = glimpse{}
	}
	if len(f.line) > 0 {
		line = append(f.line, line...)
		f.line = nil // rare; what a slow client made us keep is not kept for ever
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return bareLF
	}
	line = line[:len(line)-2]
	switch {
	case first:
		return checkRequestLine(line)
	case len(line) == 0:
		return f.end()
	default:
		return f.field(line)
	}
}

// end closes the header: its body begins.
func (f *framer) end() fault {
	if f.size > bodyMax {
		return longBody
	}
	f.body, f.seen.length = f.size, f.size
	f.head, f.size, f.once = 0, 0, 0
	return sound
}

// checkRequestLine accepts METHOD SP origin-form SP HTTP/1.x.
func checkRequestLine(line []byte) fault {
	method := bytes.IndexByte(line, ' ')
	target := bytes.LastIndexByte(line, ' ')
	if method <= 0 || target <= method+1 {
		return oddRequestLine
	}
	for _, c := range line[:method] {
		if !isToken(c) {
			return oddRequestLine
		}
	}
	if version := line[target+1:]; string(version) != "HTTP/1.1" && string(version) != "HTTP/1.0" {
		return oddVersion
	}
	if line[method+1] != '/' {
		return oddTarget
	}
	for _, c := range line[method+1 : target] {
		if c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			return oddTarget
		}
	}
	return sound
}

// field reads one header field. A line that begins with a space (obs-fold), a
// space before the colon and a missing colon all fail on the name.
func (f *framer) field(line []byte) fault {
	colon := 0
	for colon < len(line) && isToken(line[colon]) {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return oddField
	}
	name, value := line[:colon], line[colon+1:]
	if !isText(value) {
		return oddField
	}
	switch colon {
	case len("Host"):
		return f.only(name, "host", fieldHost, value)
	case len("Origin"):
		f.notice(name, value) // Expect is as long
		return f.only(name, "origin", fieldOrigin, value)
	case len("Connection"):
		f.notice(name, value)
	case len("Content-Type"):
		return f.only(name, "content-type", fieldType, value)
	case len("Authorization"):
		return f.only(name, "authorization", fieldAuthorization, value)
	case len("Content-Length"):
		if equalFold(name, "content-length") {
			return f.length(value)
		}
	case len("Idempotency-Key"):
		f.notice(name, value) // X-Forwarded-For is as long
		return f.only(name, "idempotency-key", fieldKey, value)
	case len("Transfer-Encoding"):
		if equalFold(name, "transfer-encoding") {
			return chunked
		}
	}
	return sound
}

// notice remembers what keeps a request from a quick answer.
func (f *framer) notice(name, value []byte) {
	switch len(name) {
	case len("Expect"):
		f.seen.special = f.seen.special || equalFold(name, "expect")
	case len("Connection"):
		f.seen.special = f.seen.special || equalFold(name, "connection") && !keepsAlive(trim(value))
	case len("X-Forwarded-For"):
		if equalFold(name, "x-forwarded-for") {
			f.seen.tangled = f.seen.tangled || f.seen.forwarded != nil || len(value) > forwardedMax
			f.seen.forwarded = value
		}
	}
}

// only notes a field that must not come twice: of two, a proxy may have
// checked the other.
func (f *framer) only(name []byte, want string, field fields, value []byte) fault {
	if !equalFold(name, want) {
		return sound
	}
	if f.once&field != 0 {
		return twice
	}
	f.once |= field
	switch field {
	case fieldHost:
		f.seen.host = trim(value)
	case fieldOrigin:
		f.seen.origin = trim(value)
	case fieldType:
		f.seen.contentType = value
	case fieldAuthorization:
		f.seen.authorization = trim(value)
	case fieldKey:
		f.seen.key = trim(value)
		if len(f.seen.key) == 0 {
			return emptyKey // to the server the same as none
		}
	default:
	}
	return sound
}

// length reads Content-Length: digits only, once only.
func (f *framer) length(value []byte) fault {
	if f.once&fieldLength != 0 {
		return twice
	}
	f.once |= fieldLength
	value = trim(value)
	if len(value) == 0 {
		return oddLength
	}
	size := 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return oddLength
		}
		size = min(size*10+int(c-'0'), bodyMax+1) // no overflow, however many digits
	}
	f.size = size
	return sound
}

// equalFold reports whether name is want, which is in lower case. Both have
// the same length and hold token characters only.
func equalFold(name []byte, want string) bool {
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// isToken reports whether c may stand in a method or a field's name.
func isToken(c byte) bool {
	const mask = 0 |
		(1<<10-1)<<'0' | (1<<26-1)<<'a' | (1<<26-1)<<'A' |
		1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' |
		1<<'+' | 1<<'-' | 1<<'.' | 1<<'^' | 1<<'_' | 1<<'`' | 1<<'|' | 1<<'~'
	return (uint64(1)<<c)&(mask&(1<<64-1))|(uint64(1)<<(c-64))&(mask>>64) != 0
}

// isText reports whether value has no control characters but tabs. It looks at
// eight bytes at once: every byte of a head comes by here.
func isText(value []byte) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; len(value) >= 8; value = value[8:] {
		word := binary.LittleEndian.Uint64(value)
		del := word ^ each*0x7f // a DEL becomes 0
		odd := (word-each*' ')&^word | (del-each)&^del
		if odd&high != 0 && !isPlainText(value[:8]) {
			return false
		}
	}
	return isPlainText(value)
}

func isPlainText(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// trim cuts the white space around a field's value.
func trim(value []byte) []byte {
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	return value
}

// keepsAlive reports whether a Connection field says what goes without saying.
func keepsAlive(value []byte) bool {
	return len(value) == len("keep-alive") && equalFold(value, "keep-alive")
}
