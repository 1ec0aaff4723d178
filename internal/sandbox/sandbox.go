// Package sandbox is a payment provider for demonstrations and tests: it takes
// no money, but keeps, signs and reports what it "took" as a real one would.
//
// Each node of a shop has one of its own, with a journal of its own. They share
// a key, so that each knows the others' pages, and the shop's ledger: where the
// journal does not know how an order stands, the ledger does.
package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Bounds of the sandbox.
const (
	paymentsMax = 100_000         // payments kept at once: about 50 MB
	keepFor     = time.Hour       // a payment whose time is over still answers its page this long
	tidyEvery   = 5 * time.Minute // how often what is over is looked for
	tidyFrom    = 1 << 20         // bytes of journal below which rewriting is not worth it
	returnMax   = 4096            // bytes of a return address
	journalName = "sandbox.journal"
)

// pagePrefix is the path under which each payment has its page.
const pagePrefix = "/sandbox/pay/"

// Config is what a sandbox needs. Every field is needed but Base, Host and
// Order.
type Config struct {
	Folder   string        // where sandbox.journal lies; this sandbox's alone
	Keys     []gate.Secret // the first signs; every one verifies, so that keys can be exchanged
	Base     string        // where Handler is reached from outside; empty: the page's own origin
	Callback string        // address that events are posted to
	Host     string        // the shop's name there, for its Host header; empty: that of Callback
	Client   *http.Client
	Now      func() time.Time
	Random   func() string // text that no two calls share
	Log      *slog.Logger

	// Order asks the shop how an order stands, and where its buyer goes after
	// paying; a shop.Refusal: there is none. nil: only this sandbox's pages are
	// served here, and what it was told is all that it knows.
	Order func(ctx context.Context, id shop.ClaimID) (order shop.Order, returnTo string, err error)
	// Names returns what a sale and its item are called; false: not known,
	// and the page shows their ids.
	Names func(sale, sku string) (title, item string, ok bool)
	// Render makes the page, in the language of an Accept-Language header.
	Render func(view page.Sandbox, acceptLanguage string) (page.Document, error)
}

// Provider implements payments.Provider. Run delivers its events; Handler is
// its pages.
type Provider struct {
	config  Config
	lock    *os.File
	journal *journal
	outbox  outbox

	mu       sync.Mutex
	payments map[shop.ClaimID]*payment
	starts   int // lines of the journal that start a payment
}

// Open reads the journal in the folder, so that money taken before a restart
// is still known and still reported.
func Open(config Config) (*Provider, error) {
	if len(config.Keys) == 0 || config.Keys[0].Len() < sha256.Size {
		return nil, fmt.Errorf("the sandbox needs a signing key of %d bytes or more", sha256.Size)
	}
	p := &Provider{config: config, payments: map[shop.ClaimID]*payment{}, outbox: newOutbox()}
	var err error
	if p.lock, err = lockFolder(config.Folder); err != nil {
		return nil, err
	}
	if p.journal, err = openJournal(filepath.Join(config.Folder, journalName), p.replay); err != nil {
		return nil, errors.Join(err, p.lock.Close())
	}
	for _, payment := range p.payments {
		if payment.Charge != nil && !payment.Acked {
			p.outbox.put(payment.letter())
		}
	}
	return p, nil
}

// Close releases the journal. No call follows it.
func (p *Provider) Close() error { return errors.Join(p.journal.close(), p.lock.Close()) }

// Start returns the address of the order's payment page.
func (p *Provider) Start(_ context.Context, order shop.Order, returnTo string) (string, error) {
	if order.Amount < 1 || order.Currency == "" {
		return "", fmt.Errorf("order %s asks for %d %q: there is nothing to pay", order.ID, order.Amount, order.Currency)
	}
	if err := checkReturn(returnTo); err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, started := p.payments[order.ID]; started && known.ReturnTo == returnTo {
		return p.pageURL(order.ID), nil
	}
	if err := p.begin(newPayment(&order, returnTo)); err != nil {
		return "", err
	}
	return p.pageURL(order.ID), nil
}

// begin journals a payment, or another way back from one. The caller holds
// p.mu.
func (p *Provider) begin(payment *payment) error {
	if _, started := p.payments[payment.order]; !started && len(p.payments) >= paymentsMax {
		return shop.Refusal{
			Code: shop.Overloaded, Detail: "The sandbox cashier is full. Try again in a minute.", RetryAfter: time.Minute,
		}
	}
	// Not synced: a page that a power cut forgot is started again.
	return p.write(record{Op: opStart, Order: payment.order.String(), Payment: payment})
}

// checkReturn keeps script and foreign schemes out of the links of a page.
func checkReturn(address string) error {
	parsed, err := url.Parse(address)
	if err != nil || len(address) > returnMax {
		return errors.New("the return address is not a URL")
	}
	onSite := parsed.Scheme == "" && parsed.Host == "" && strings.HasPrefix(address, "/") && !strings.ContainsRune(address, '\\')
	if onSite || ((parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != "" && parsed.User == nil) {
		return nil
	}
	return fmt.Errorf("the return address %q is neither an http(s) URL nor a path of this site", address)
}

// Paid reports the order's charge. What it reports is on disk. It knows this
// node's journal alone: a charge that another node took in the last moment, and
// whose report is still on its way, becomes a late payment in the ledger.
func (p *Provider) Paid(_ context.Context, id shop.ClaimID) (payments.Charge, bool, error) {
	p.mu.Lock()
	payment, ok := p.payments[id]
	if !ok || payment.Charge == nil {
		p.mu.Unlock()
		return payments.Charge{}, false, nil
	}
	charge, mark := payment.taken(), payment.mark
	p.mu.Unlock()
	if err := p.journal.sync(mark); err != nil {
		return payments.Charge{}, false, err
	}
	return charge, true, nil
}

// End closes the order's page. Money that was taken before stays taken.
func (p *Provider) End(_ context.Context, id shop.ClaimID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	payment, ok := p.payments[id]
	if !ok || payment.Ended || payment.Charge != nil {
		return nil
	}
	payment.Ended = true // even where the journal is full: PayBy ends it after a restart
	return p.write(record{Op: opEnd, Order: id.String()})
}

// take charges an open payment, once, and returns its state on disk. Two
// clicks at once are one charge, and both wait until it is durable. Two at two
// nodes may be two charges: the ledger takes one, and the other is due for
// refund.
func (p *Provider) take(due payment) (state, error) {
	id := due.order
	p.mu.Lock()
	payment, ok := p.payments[id]
	if !ok { // its page was given out by another node
		if err := p.begin(&due); err != nil {
			p.mu.Unlock()
			return open, err
		}
		payment = p.payments[id]
	}
	now := p.config.Now()
	before := payment.state(now)
	if before == open {
		err := p.write(record{Op: opCharge, Order: id.String(), At: now.UTC(), Reference: "sbx_" + p.config.Random()})
		if err != nil {
			p.mu.Unlock()
			return before, err
		}
	}
	if payment.Charge == nil {
		p.mu.Unlock()
		return before, nil
	}
	letter, mark := payment.letter(), payment.mark
	p.mu.Unlock()
	if err := p.journal.sync(mark); err != nil {
		return before, err
	}
	if before == open {
		p.outbox.put(letter)
	}
	return paid, nil
}

// write journals a record and applies it. The caller holds p.mu.
func (p *Provider) write(r record) error {
	line, err := r.line()
	if err != nil {
		return err
	}
	mark, err := p.journal.append(line)
	if err != nil {
		return err
	}
	return p.apply(r, mark)
}

// acknowledge notes that a charge's event was heard. A note that a crash
// loses only means that it is sent once more.
func (p *Provider) acknowledge(id shop.ClaimID, kind string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kind != typeSucceeded {
		return nil
	}
	if payment, ok := p.payments[id]; !ok || payment.Charge == nil || payment.Acked {
		return nil
	}
	return p.write(record{Op: opAck, Order: id.String()})
}

// tidy forgets payments that are over, and rewrites the journal when most of
// it is about them.
func (p *Provider) tidy() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	longAgo := p.config.Now().Add(-keepFor)
	maps.DeleteFunc(p.payments, func(_ shop.ClaimID, payment *payment) bool { return payment.forgettable(longAgo) })
	if p.journal.bytes() < tidyFrom || p.starts < 2*len(p.payments) {
		return nil
	}
	lines := make([][]byte, 0, len(p.payments))
	for id, payment := range p.payments {
		line, err := record{Op: opStart, Order: id.String(), Payment: payment}.line()
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	if err := p.journal.rewrite(lines); err != nil {
		return err
	}
	p.starts = len(p.payments)
	return nil
}

// pageURL is unguessable: only who was given it can open the page.
func (p *Provider) pageURL(id shop.ClaimID) string {
	return p.config.Base + pagePrefix + id.String() + "-" + hex.EncodeToString(pageMark(p.config.Keys[0], id))
}

// pageMark binds a page's address to its order. The purpose keeps it from
// ever being read as a callback's signature.
func pageMark(key gate.Secret, id shop.ClaimID) []byte {
	mac := hmac.New(sha256.New, key.Reveal())
	_, _ = mac.Write([]byte("sandbox page of " + id.String()))
	return mac.Sum(nil)[:16]
}

// order returns the order whose page the last part of a path names.
func (p *Provider) order(name string) (shop.ClaimID, bool) {
	digits, given, _ := strings.Cut(name, "-")
	id, ok := shop.ParseClaimID(digits)
	mark, err := hex.DecodeString(given)
	if !ok || err != nil {
		return shop.ClaimID{}, false
	}
	genuine := false
	for _, key := range p.config.Keys {
		genuine = hmac.Equal(mark, pageMark(key, id)) || genuine
	}
	return id, genuine
}
