package web

import "github.com/doorbuster/doorbuster/internal/shop"

// fault is what is wrong with how a request came over the wire. After one the
// connection ends: where the next request begins is anybody's guess.
type fault uint8

const (
	sound fault = iota
	longHead
	longBody
	bareLF
	oddRequestLine
	oddVersion
	oddTarget
	oddField
	oddLength
	twice
	emptyKey
	chunked
	late
	garbled // the server's own parser found it
)

// refusal returns what the client is told.
func (f fault) refusal() shop.Refusal {
	code := shop.Malformed
	if f == longHead || f == longBody {
		code = shop.TooLarge
	}
	return shop.Refusal{Code: code, Detail: f.detail()}
}

func (f fault) detail() string {
	switch f {
	case longHead:
		return "Request line and header fields may have 8 KiB together."
	case longBody:
		return "A body may have 4 KiB."
	case bareLF:
		return "Every line of the header ends with CR and LF."
	case oddRequestLine:
		return "The request line is not METHOD, one space, target, one space, version."
	case oddVersion:
		return "Speak HTTP/1.1 or HTTP/1.0."
	case oddTarget:
		return "The target begins with / and holds printable ASCII only; percent-encode the rest."
	case oddField:
		return "A header field is a name, a colon right behind it, and a value, on one line."
	case oddLength:
		return "Content-Length is digits only."
	case twice:
		return "A header field that may come once came twice."
	case emptyKey:
		return "An Idempotency-Key has 1 to 64 characters; leave the field out for none."
	case chunked:
		return "Send the body with a Content-Length; Transfer-Encoding is not taken here."
	case late:
		return "The whole request has to arrive within 5 seconds."
	case sound, garbled:
	}
	return "This is not an HTTP request that can be read in one way only."
}
