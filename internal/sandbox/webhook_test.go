package sandbox

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/payments"
)

// reader reads events at one moment.
func reader(keys ...gate.Secret) *Provider {
	return &Provider{config: Config{Keys: keys, Now: func() time.Time { return time.Unix(1_790_000_000, 0) }}}
}

const goodEvent = `{"type":"payment.succeeded","timestamp":"2026-12-01T10:00:00Z","data":{"order":"000102030405060708090a0b0c0d0e0f","reference":"sbx_1","amount":12900,"currency":"EUR"}}`

func TestASignedEventIsReadStrictly(t *testing.T) {
	p := reader(keyOf("k"))
	cases := map[string]struct {
		old, new string
		ignored  bool
	}{
		"an unknown type":         {"payment.succeeded", "payment.refunded", true},
		"an unknown field":        {`"type"`, `"sort":1,"type"`, false},
		"a field twice":           {`"amount":12900`, `"amount":12900,"amount":1`, false},
		"no order":                {"000102030405060708090a0b0c0d0e0f", "", false},
		"half an order":           {"000102030405060708090a0b0c0d0e0f", "0001", false},
		"an order in capitals":    {"0a0b0c", "0A0B0C", false},
		"no amount":               {`"amount":12900,`, "", false},
		"a negative amount":       {"12900", "-12900", false},
		"an amount with decimals": {"12900", "129.5", false},
		"an amount out of range":  {"12900", "99999999999999999999", false},
		"no currency":             {`,"currency":"EUR"`, "", false},
		"a long currency":         {"EUR", "EURO", false},
		"no reference":            {`"reference":"sbx_1",`, "", false},
		"something behind":        {`}}`, `}}{}`, false},
		"not an object":           {goodEvent, `[]`, false},
	}
	if _, err := p.Event(p.sign("evt_1", []byte(goodEvent)), []byte(goodEvent)); err != nil {
		t.Fatalf("the sound event: %v", err)
	}
	for name, c := range cases {
		body := []byte(strings.Replace(goodEvent, c.old, c.new, 1))
		_, err := p.Event(p.sign("evt_1", body), body)
		if err == nil || errors.Is(err, payments.ErrSignature) || errors.Is(err, payments.ErrIgnored) != c.ignored {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheHeaderMayHoldSignaturesOfOthers(t *testing.T) {
	p := reader(keyOf("k"))
	header := p.sign("evt_1", []byte(goodEvent))
	own := header.Get(headerSignature)
	foreign := schemeV1 + base64.StdEncoding.EncodeToString(make([]byte, 32))
	for words, sound := range map[string]bool{
		own: true, foreign + " " + own: true, own + " v1a,xyz": true, "v2," + own[3:]: false, foreign: false,
		strings.Repeat(foreign+" ", signaturesMax) + own: false, "": false,
	} {
		header.Set(headerSignature, words)
		if _, err := p.Event(header, []byte(goodEvent)); (err == nil) != sound {
			t.Errorf("%q: %v, want sound = %v", words, err, sound)
		}
	}
}

func TestTheToleranceHoldsBothWays(t *testing.T) {
	p := reader(keyOf("k"))
	for age, sound := range map[int64]bool{0: true, 300: true, 301: false, -300: true, -301: false, 1 << 62: false} {
		signer := reader(keyOf("k"))
		signer.config.Now = func() time.Time { return time.Unix(1_790_000_000-age, 0) }
		_, err := p.Event(signer.sign("evt_1", []byte(goodEvent)), []byte(goodEvent))
		if (err == nil) != sound {
			t.Errorf("%d s old: %v, want sound = %v", age, err, sound)
		}
	}
	header := p.sign("evt_1", []byte(goodEvent))
	for _, timestamp := range []string{"", "soon", "-1", "9223372036854775807", "-9223372036854775808", "1790000000.0"} {
		header.Set(headerTime, timestamp)
		if _, err := p.Event(header, []byte(goodEvent)); !errors.Is(err, payments.ErrSignature) {
			t.Errorf("timestamp %q: %v", timestamp, err)
		}
	}
}

func TestAPageAddressIsNoSignature(t *testing.T) {
	p := reader(keyOf("k"))
	header := p.sign("evt_1", []byte(goodEvent))
	address := p.pageURL([16]byte{1})
	header.Set(headerSignature, schemeV1+address[strings.LastIndexByte(address, '-')+1:])
	if _, err := p.Event(header, []byte(goodEvent)); !errors.Is(err, payments.ErrSignature) {
		t.Errorf("%v", err)
	}
}

// FuzzEvent signs whatever comes, so that what lies behind the signature is
// reached: no input may panic, and none may be money without an order, an
// amount and a name.
func FuzzEvent(f *testing.F) {
	f.Add("evt_1", []byte(goodEvent))
	f.Add("evt_2", []byte(strings.Replace(goodEvent, "succeeded", "declined", 1)))
	f.Add("", []byte("{}"))
	f.Add("a.b", []byte(`{"type":"payment.abandoned","data":{"order":"ff"}}`))
	f.Add(strings.Repeat("x", 200), []byte("\xff"))
	p := reader(keyOf("k"))
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		event, err := p.Event(p.sign(id, body), body)
		if err == nil && event.Kind == payments.Succeeded &&
			(event.Charge.Amount < 1 || event.Charge.Reference == "" || event.Charge.Order != event.Order || len(event.Charge.Currency) != 3 || event.ID != id) {
			t.Errorf("%q read as %+v", body, event)
		}
		forged := http.Header{}
		forged.Set(headerID, id)
		forged.Set(headerTime, strconv.FormatInt(p.config.Now().Unix(), 10))
		forged.Set(headerSignature, string(body))
		if event, err := p.Event(forged, body); err == nil {
			t.Errorf("%q signed by nobody read as %+v", body, event)
		}
	})
}
