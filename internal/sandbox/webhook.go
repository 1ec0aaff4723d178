package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// The headers of a callback, as Standard Webhooks names them.
const (
	headerID        = "Webhook-Id"
	headerTime      = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// Bounds of a callback.
const (
	// tolerance is how far a callback's time may lie from ours: a replay is
	// worth nothing soon after, and clocks may differ a little.
	tolerance     = 5 * time.Minute
	idMax         = 128 // bytes of an event's id
	signaturesMax = 8   // in one header: a rotation needs two
	schemeV1      = "v1,"
)

// The kinds of events, as the body names them.
const (
	typeSucceeded = "payment.succeeded"
	typeDeclined  = "payment.declined"
	typeAbandoned = "payment.abandoned"
)

// message is the body of a callback.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when it happened; the header says when it was sent
	Data      struct {
		Order     string `json:"order"`
		Reference string `json:"reference,omitempty"`
		Amount    int64  `json:"amount,omitempty"` // minor units
		Currency  string `json:"currency,omitempty"`
	} `json:"data"`
}

// signature signs id, time and body together: none can be exchanged.
func signature(key gate.Secret, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, key.Reveal())
	_, _ = mac.Write([]byte(id + "." + timestamp + "."))
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}

// sign returns the headers that prove body to be this provider's.
func (p *Provider) sign(id string, body []byte) http.Header {
	timestamp := strconv.FormatInt(p.config.Now().Unix(), 10)
	sum := signature(p.config.Keys[0], id, timestamp, body)
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set(headerID, id)
	header.Set(headerTime, timestamp)
	header.Set(headerSignature, schemeV1+base64.StdEncoding.EncodeToString(sum))
	return header
}

// Event reads one callback. Any of the keys may have signed it.
func (p *Provider) Event(header http.Header, body []byte) (payments.Event, error) {
	id := header.Get(headerID)
	if !p.authentic(header, id, body) {
		return payments.Event{}, payments.ErrSignature
	}
	var m message
	if err := shop.DecodeStrict(body, &m); err != nil {
		return payments.Event{}, fmt.Errorf("event %s: %w", id, err)
	}
	return m.event(id)
}

func (p *Provider) authentic(header http.Header, id string, body []byte) bool {
	seconds, err := strconv.ParseInt(header.Get(headerTime), 10, 64)
	if err != nil || seconds < 0 || id == "" || len(id) > idMax || strings.Contains(id, ".") {
		return false // with a dot in the id, two ids and times could read alike
	}
	if age := p.config.Now().Unix() - seconds; max(age, -age) > int64(tolerance/time.Second) {
		return false
	}
	given := strings.Fields(header.Get(headerSignature))
	sound := false
	for _, word := range given[:min(len(given), signaturesMax)] {
		encoded, isV1 := strings.CutPrefix(word, schemeV1)
		sum, err := base64.StdEncoding.DecodeString(encoded)
		if !isV1 || err != nil {
			continue
		}
		for _, key := range p.config.Keys {
			sound = hmac.Equal(sum, signature(key, id, header.Get(headerTime), body)) || sound
		}
	}
	return sound
}

// event turns a signed message into what the shop is told.
func (m *message) event(id string) (payments.Event, error) {
	event := payments.Event{ID: id, At: m.Timestamp}
	switch m.Type {
	case typeSucceeded:
		event.Kind = payments.Succeeded
	case typeDeclined:
		event.Kind = payments.Declined
	case typeAbandoned:
		event.Kind = payments.Abandoned
	default:
		return payments.Event{}, payments.ErrIgnored
	}
	order, ok := shop.ParseClaimID(m.Data.Order)
	if !ok {
		return payments.Event{}, fmt.Errorf("event %s: data.order is %q; it is 32 hexadecimal digits", id, m.Data.Order)
	}
	event.Order = order
	if event.Kind != payments.Succeeded {
		return event, nil
	}
	if m.Data.Reference == "" || m.Data.Amount < 1 || len(m.Data.Currency) != 3 {
		return payments.Event{}, errors.New("event " + id + ": data needs a reference, an amount above 0 and a currency of three letters")
	}
	event.Charge = payments.Charge{
		Reference: m.Data.Reference, Order: order, Amount: m.Data.Amount, Currency: m.Data.Currency,
	}
	return event, nil
}

// body writes what a letter reports.
func (l *letter) body() ([]byte, error) {
	m := message{Type: l.kind, Timestamp: l.at}
	m.Data.Order = l.charge.Order.String()
	if l.kind == typeSucceeded {
		m.Data.Reference, m.Data.Amount, m.Data.Currency = l.charge.Reference, l.charge.Amount, l.charge.Currency
	}
	body, err := json.Marshal(&m)
	if err != nil {
		return nil, fmt.Errorf("write event %s: %w", l.id, err)
	}
	return body, nil
}
