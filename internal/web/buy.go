package web

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// purchase is a POST of an order on its way to the desk.
type purchase struct {
	shown *display
	key   []byte // Idempotency-Key; empty: none
	known bool   // the key may have an answer already
	who   gate.Identity
	want  wanted
	wait  time.Duration
}

// buy takes an order. Before it, a request that cannot be framed (400), is too
// long (413), leads nowhere (404) or has another method (405) was refused
// already. Then, each check before the dearer ones behind it:
//
//  1. the key's form (400), because a malformed one is never known
//  2. the sale's notice (404; 409 not open, paused, closed, sold out; 503), and
//     the opening key of a strict one (403), and whether there is room at the
//     desk (503), written beforehand, for every key that has no answer yet
//  3. the address: blocked (403), its limits (429)
//  4. the token (401); the check 2 for whoever came with somebody else's key;
//     this sale (403), the buyer: blocked (403), the limits (429): strangers
//     learn nothing about bodies, and spend nobody's limit
//  5. the content type (415), then the body (400)
//  6. the item's notice (409), likewise
//  7. the challenge (403), where the sale has one: nobody works for an item
//     that is gone
//  8. that neither buyer nor address has too many at the desk (429), the
//     buyer's limit where all nodes count together (429), a place there (503)
//  9. the desk
func (d *Door) buy(ctx context.Context, rc *fasthttp.RequestCtx, sale []byte) {
	p, ok := d.greet(rc, sale)
	if !ok || !d.admit(rc, gate.AskOrder) || !d.identify(rc, &p.who) || !d.recognise(rc, &p) || !d.admitBuyer(rc, &p) || !d.read(rc, &p) || !d.prove(ctx, rc, &p) {
		return
	}
	seat, err := d.Gate.Seat(p.who.Buyer, d.client(rc))
	if err != nil {
		d.refuse(rc, err)
		return
	}
	defer seat.Leave()
	if err := d.Gate.AdmitShared(ctx, p.who.Buyer, d.Now().UnixNano()); err != nil {
		d.refuse(rc, err)
		return
	}
	if !d.enter(&p) {
		d.say(rc, &d.said.overloaded)
		return
	}
	answer, err := d.ask(ctx, rc, &p)
	if err != nil {
		d.refuse(rc, err)
		return
	}
	d.tell(rc, &answer)
}

// enter takes a place at the desk. Who may have an answer already has others
// than those who come for the first time.
func (d *Door) enter(p *purchase) bool {
	if p.known {
		return d.Pressure.EnterHolder()
	}
	return d.Pressure.Enter()
}

// leave gives the place back. A wait that was cut short, a fault and "ask again"
// say that what stands behind the desk is slow; all else is an answer.
func (d *Door) leave(p *purchase, answer *checkout.Answer, err error) {
	if p.known {
		d.Pressure.LeaveHolder()
		return
	}
	no, refused := errors.AsType[shop.Refusal](err)
	late := err == nil && answer.Order.Status == shop.Pending && p.wait > 0
	d.Pressure.Leave(!late && (err == nil || refused && no.Code != shop.Unavailable))
}

// greet does checks 1 and 2.
func (d *Door) greet(rc *fasthttp.RequestCtx, sale []byte) (p purchase, ok bool) {
	p.key = rc.Request.Header.Peek("Idempotency-Key")
	if p.key != nil && !isKey(p.key) {
		d.say(rc, &d.said.wrongKey)
		return p, false
	}
	p.shown, ok = d.display(view(sale))
	if !ok {
		d.say(rc, &d.said.noSale)
		return p, false
	}
	p.known = p.key != nil && d.Desk.KnownKey(view(sale), view(p.key))
	return p, p.known || d.pass(rc, &p)
}

// pass does check 2 for a buyer who has no answer yet; false: pass has refused.
func (d *Door) pass(rc *fasthttp.RequestCtx, p *purchase) bool {
	no := p.shown.no
	if no == nil {
		no = d.suspension()
	}
	if no == nil && !p.shown.opens(rc.RequestURI()) {
		no = &d.said.noPass
	}
	if no == nil && d.Pressure.Full() {
		d.Pressure.Shed()
		no = &d.said.overloaded
	}
	if no != nil {
		d.say(rc, no)
	}
	return no == nil
}

// recognise makes sure that a known key is this buyer's: else a crowd could
// borrow the key of one who won, to come in by the holders' way.
func (d *Door) recognise(rc *fasthttp.RequestCtx, p *purchase) bool {
	if !p.known || d.Desk.KnownClaim(p.shown.notice.Sale.ID, p.who.Buyer, view(p.key)) {
		return true
	}
	p.known = false
	return d.pass(rc, p)
}

// passParameter is what stands before the opening key in a target's query.
const passParameter = "opening="

// opens reports whether the target bears the opening key, where one is wanted:
// ?opening=KEY, as it stands there. A header field would need a preflight that
// the contract does not grant, and a body is read too late.
func (s *display) opens(target []byte) bool {
	if s.pass == "" {
		return true
	}
	_, query, _ := bytes.Cut(target, []byte("?"))
	for len(query) > 0 {
		var part []byte
		part, query, _ = bytes.Cut(query, []byte("&"))
		if key, ok := bytes.CutPrefix(part, []byte(passParameter)); ok {
			return subtle.ConstantTimeCompare(key, []byte(s.pass)) == 1
		}
	}
	return false
}

// read does checks 5 and 6.
func (d *Door) read(rc *fasthttp.RequestCtx, p *purchase) bool {
	if !isJSON(rc.Request.Header.ContentType()) {
		d.say(rc, &d.said.wrongType)
		return false
	}
	var err error
	if p.want, err = readWanted(rc.Request.Body()); err != nil {
		d.refuse(rc, err)
		return false
	}
	if no, gone := p.shown.items[view(p.want.sku)]; gone && !p.known {
		d.say(rc, no)
		return false
	}
	return true
}

// ask brings the wish to the desk. Whatever the desk may keep is copied from
// the server's bytes.
func (d *Door) ask(ctx context.Context, rc *fasthttp.RequestCtx, p *purchase) (answer checkout.Answer, err error) {
	defer func() { d.leave(p, &answer, err) }()
	p.wait = waitOf(rc.Request.Header.PeekAll("Prefer"))
	wish := checkout.Wish{
		Sale: p.shown.notice.Sale.ID, Buyer: p.who.Buyer, Key: string(p.key),
		SKU: string(p.want.sku), Quantity: p.want.quantity,
		Wait: p.wait,
	}
	if p.key == nil {
		wish.Key = d.NewName()
	}
	if p.known && d.Gate.Blocks(p.who.Buyer) {
		return d.again(ctx, wish)
	}
	answer, err = d.Desk.Buy(ctx, wish)
	d.Counts.Latency.Observe(d.Wall().Sub(rc.Time()))
	return answer, err
}

// again tells a blocked buyer of an order that is there already.
func (d *Door) again(ctx context.Context, wish checkout.Wish) (checkout.Answer, error) {
	answer, found, err := d.Desk.Again(ctx, wish)
	if err == nil && !found {
		err = d.Gate.TurnAway()
	}
	return answer, err
}

// tell answers with the order.
func (d *Door) tell(rc *fasthttp.RequestCtx, answer *checkout.Answer) {
	status, count := fasthttp.StatusCreated, &d.Counts.Decided
	switch {
	case answer.Order.Status == shop.Pending:
		status, count = fasthttp.StatusAccepted, &d.Counts.Pending
		d.retryAfter(rc, askAgain)
	case answer.Repeat:
		status, count = fasthttp.StatusOK, &d.Counts.Repeated
	}
	count.Add(1)
	var space [64]byte
	location := append(append(space[:0], "/api/v1/orders/"...), answer.Order.ID.String()...)
	rc.Response.Header.SetBytesV("Location", location)
	d.show(rc, status, &answer.Order)
}

// show answers with an order, which is its buyer's alone.
func (d *Door) show(rc *fasthttp.RequestCtx, status int, order *shop.Order) {
	var space [512]byte
	d.personal(rc, status, wire.AppendOrder(space[:0], order, false))
}

// personal answers with JSON that no cache may keep.
func (d *Door) personal(rc *fasthttp.RequestCtx, status int, body []byte) {
	rc.Response.SetStatusCode(status)
	rc.Response.Header.SetContentType(jsonType)
	noStore(rc)
	rc.Response.SetBody(body)
}

// admit asks whether the address may come, and this often; false: it has answered.
func (d *Door) admit(rc *fasthttp.RequestCtx, ask gate.Ask) bool {
	if c, ok := rc.Conn().(*conn); ok && c.admitted {
		return true // asked already, before the request was parsed
	}
	if err := d.Gate.Admit(ask, d.client(rc), d.Now().UnixNano()); err != nil {
		d.refuse(rc, err)
		return false
	}
	return true
}

// client returns whose limits count.
func (d *Door) client(rc *fasthttp.RequestCtx) netip.Addr {
	if c, ok := rc.Conn().(*conn); ok && c.admitted {
		return c.client
	}
	peer := peerOf(rc)
	if rc.Request.Header.Peek("X-Forwarded-For") == nil {
		return peer
	}
	return d.Gate.Client(peer, rc.Request.Header.PeekAll("X-Forwarded-For"))
}

// peerOf returns who is at the other end of the connection.
func peerOf(rc *fasthttp.RequestCtx) netip.Addr {
	if c, ok := rc.Conn().(*conn); ok {
		return c.peer
	}
	return netip.Addr{}
}

// identify asks whose token this is; false: it has answered.
func (d *Door) identify(rc *fasthttp.RequestCtx, who *gate.Identity) bool {
	if c, ok := rc.Conn().(*conn); ok && c.admitted {
		*who = c.who // found before the request was parsed
		return true
	}
	found, err := d.Gate.Identify(rc.Request.Header.Peek("Authorization"), d.Now().UnixNano())
	if err != nil {
		d.refuse(rc, err)
		return false
	}
	*who = found
	return true
}

// admitBuyer asks for the buyer's limit; false: it has answered.
func (d *Door) admitBuyer(rc *fasthttp.RequestCtx, p *purchase) bool {
	if c, ok := rc.Conn().(*conn); ok && c.denied != nil {
		d.refuse(rc, c.denied) // asked already, before the request was parsed
		return false
	}
	if err := d.Gate.AdmitBuyer(p.who, p.shown.notice.Sale.ID, p.known, d.Now().UnixNano()); err != nil {
		d.refuse(rc, err)
		return false
	}
	return true
}
