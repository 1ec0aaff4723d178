package web

import (
	"strings"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// What a body holds, from the public contract.
const (
	jsonType    = "application/json"
	keyMax      = shop.KeyMax
	quantityMax = 1_000_000_000 // of a plain body; more goes the careful way
	detailMax   = 300           // bytes of what a refusal repeats of a body's faults
)

// wanted is the body of an order. sku is the server's bytes.
type wanted struct {
	sku      []byte
	quantity int64
}

// readWanted reads {"sku": …, "quantity": …}. Nearly every body is plain and
// read in place; what is not goes the careful way, which knows all of JSON.
// The error is a refusal.
func readWanted(body []byte) (wanted, error) {
	scan := scanner{rest: body}
	want, ok := scan.wanted()
	if !ok {
		var err error
		if want, err = readCarefully(body); err != nil {
			return wanted{}, err
		}
	}
	if !shop.ValidSKU(view(want.sku)) {
		return wanted{}, shop.Refusal{Code: shop.Malformed, Detail: "sku has 1 to 63 characters of A-Z, a-z, 0-9, _ . and -, and begins with a letter or digit."}
	}
	if want.quantity < 1 {
		return wanted{}, shop.Refusal{Code: shop.Malformed, Detail: "quantity is a whole number from 1."}
	}
	return want, nil
}

// scanner reads the common shape of a body: two members in either order,
// strings without escapes, a short whole number. It allocates nothing.
type scanner struct{ rest []byte }

func (s *scanner) wanted() (w wanted, ok bool) {
	if !s.next('{') {
		return w, false
	}
	first, ok := s.member(&w)
	if !ok || !s.next(',') {
		return w, false
	}
	second, ok := s.member(&w)
	if !ok || !s.next('}') {
		return w, false
	}
	s.space()
	return w, first != second && len(s.rest) == 0
}

// member reads "sku": "…" or "quantity": n, and returns which one it was.
func (s *scanner) member(into *wanted) (name byte, ok bool) {
	text, ok := s.text()
	if !ok || !s.next(':') {
		return 0, false
	}
	switch string(text) {
	case "sku":
		into.sku, ok = s.text()
		return 's', ok
	case "quantity":
		into.quantity, ok = s.whole()
		return 'q', ok
	}
	return 0, false
}

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\r' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}

func (s *scanner) next(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) text() ([]byte, bool) {
	if !s.next('"') {
		return nil, false
	}
	for i, c := range s.rest {
		if c == '"' {
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text, true
		}
		if c < ' ' || c >= 0x7f || c == '\\' {
			return nil, false
		}
	}
	return nil, false
}

func (s *scanner) whole() (int64, bool) {
	s.space()
	n, digits := int64(0), 0
	for digits < len(s.rest) && s.rest[digits] >= '0' && s.rest[digits] <= '9' {
		n = n*10 + int64(s.rest[digits]-'0')
		if digits++; n > quantityMax {
			return 0, false
		}
	}
	if digits == 0 || (s.rest[0] == '0' && digits > 1) {
		return 0, false
	}
	s.rest = s.rest[digits:]
	return n, true
}

// readCarefully decodes any JSON, and says what is wrong with it.
func readCarefully(body []byte) (wanted, error) {
	var order struct {
		SKU      string `json:"sku"`
		Quantity int64  `json:"quantity"`
	}
	if err := decode(body, &order); err != nil {
		return wanted{}, err
	}
	return wanted{sku: []byte(order.SKU), quantity: order.Quantity}, nil
}

// decode reads a body that is one JSON object. The error is a refusal.
func decode(body []byte, value any) error {
	err := shop.DecodeStrict(body, value)
	if err == nil {
		return nil
	}
	detail := err.Error()
	if len(detail) > detailMax {
		detail = strings.ToValidUTF8(detail[:detailMax], "") + " …"
	}
	return shop.Refusal{Code: shop.Malformed, Detail: "The body cannot be read: " + detail + "."}
}
