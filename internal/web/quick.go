package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// Most of a crowd hears one of a few answers: the refusal of every new order,
// or of orders for an item that is gone; the state that pages poll; or a
// refusal at the gate, of those who are blocked, come too often or have no
// token. On a connection that the server knows already, these are given from
// the bytes of the request, before the server parses them. They are to the byte
// what the handlers would answer, for 0.6 of the cost. Whatever is unusual
// about a request goes to the server.

// script is an answer down to its last byte, but for the times in it.
type script struct {
	text  []byte
	date  int            // where Date stands in text
	stamp int            // where server_time stands; 0: it has none
	wait  int            // where the seconds of Retry-After come in; 0: it has none
	count *atomic.Uint64 // who counts it
	order bool           // good only for an Idempotency-Key that has no answer yet
}

// httpDate is what Date looks like.
const httpDate = http.TimeFormat

// Fields of many scripts.
const (
	noSniff   = "X-Content-Type-Options: nosniff\r\n"
	notStored = "Cache-Control: no-store\r\n" + noSniff
)

// turned are the scripts for those who are turned away at the gate.
type turned struct{ crowd, nobody, blocked, early, shed *script }

// script makes a script of an answer's parts. Its fields stand where the server
// would write them.
func (d *Door) script(status int, contentType, fields string, body []byte) *script {
	if d.origins == nil {
		return nil
	}
	s := &script{text: fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: ", status, http.StatusText(status))}
	s.date = len(s.text)
	s.text = fmt.Appendf(s.text, "%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s%s\r\n",
		httpDate, contentType, len(body), d.origins, fields)
	s.text = append(s.text, body...)
	return s
}

// writeOrigins returns the fields that allowOrigin writes, where they are the same for
// every request; nil where they are not.
func (d *Door) writeOrigins() []byte {
	switch {
	case len(d.Options.PageOrigins) == 0:
		return []byte{}
	case d.Options.PageOrigins[0] == "*":
		return []byte("Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: " + exposed + "\r\n")
	}
	return nil
}

// scriptRefusal returns the script of a refusal; nil where the refusal tells to
// wait, for that differs from buyer to buyer.
func (d *Door) scriptRefusal(no *refusal) *script {
	if no == nil || no.retryAfter > 0 || no.status >= http.StatusInternalServerError || no.status == http.StatusUnauthorized {
		return nil
	}
	s := d.script(no.status, wire.ProblemType, notStored, no.body)
	if s != nil {
		s.count, s.order = no.count, true
	}
	return s
}

func (d *Door) scriptState(shown *display) *script {
	state, fields := &shown.state, "Cache-Control: "+cacheSecond+"\r\nCdn-Cache-Control: "+cdnSecond+"\r\n"+noSniff
	if shown.tag != "" {
		fields += d.Options.CacheTagField + ": " + shown.tag + "\r\n"
	}
	s := d.script(http.StatusOK, jsonType, fields, state.text)
	if s != nil {
		s.count, s.stamp = &d.Counts.States, len(s.text)-len(state.text)+state.at
	}
	return s
}

// quick answers the requests at the front of p that it can. It returns how
// many bytes of p they took, and their answers, appended to into.
func (d *Door) quick(c *conn, p, into []byte) (took int, answers []byte) {
	for took < len(p) && len(into) < answersMax {
		c.forget() // who came before in the same piece
		sale, script, ok := d.scriptFor(p[took:])
		if !ok {
			break
		}
		n, whole, no := c.frame.one(p[took:])
		if no == sound && whole && d.fits(script, sale, &c.frame) {
			into, ok = d.play(c, sale, p[took:took+n], script, into)
		} else {
			ok = false
		}
		if !ok {
			c.frame = framer{} // the server's turn, from this request on
			break
		}
		took += n
	}
	return took, into
}

// answersMax bounds what is answered at once, in bytes: requests are shorter
// than their answers.
const answersMax = 64 << 10

// scriptFor looks for the script of the request that p begins with. An order
// that no notice speaks against has none, but may be quick to refuse.
func (d *Door) scriptFor(p []byte) (sale []byte, _ *script, ok bool) {
	const post, get = "POST /api/v1/sales/", "GET /s/"
	if rest, ok := bytes.CutPrefix(p, []byte(post)); ok {
		sale, target, ok := ordered(rest)
		if !ok {
			return nil, nil, false
		}
		shown, ok := d.display(view(sale))
		switch {
		case !ok || shown.refusalScript == nil && (shown.no != nil || d.Board.Suspended() != nil || d.origins == nil):
			return nil, nil, false
		case shown.refusalScript == nil && !shown.opens(target):
			return sale, d.turned.early, true
		}
		return sale, shown.refusalScript, true
	}
	if rest, ok := bytes.CutPrefix(p, []byte(get)); ok {
		if sale, ok = before(rest, "/state.json HTTP/1.1\r\n"); !ok {
			return nil, nil, false
		}
		if shown, ok := d.display(view(sale)); ok && shown.stateScript != nil {
			return sale, shown.stateScript, true
		}
	}
	return nil, nil, false
}

// ordered returns the sale that an order is for, and its target: with a query,
// if it is no longer than an opening key's.
func ordered(text []byte) (sale, target []byte, ok bool) {
	if sale, ok = before(text, "/orders HTTP/1.1\r\n"); ok {
		return sale, nil, true
	}
	if sale, ok = before(text, "/orders?"); !ok {
		return nil, nil, false
	}
	target, rest, _ := bytes.Cut(text[len(sale):min(len(text), len(sale)+targetMax)], []byte(" "))
	const end = "HTTP/1.1\r\n"
	return sale, target, len(rest) >= len(end) && string(rest[:len(end)]) == end
}

// targetMax has room for an opening key and the end of the request line.
const targetMax = 96

// before returns the name at the front of text, if what follows it is rest.
func before(text []byte, rest string) ([]byte, bool) {
	name, _, ok := bytes.Cut(text[:min(len(text), nameMax)], []byte("/"))
	return name, ok && len(text) >= len(name)+len(rest) && string(text[len(name):len(name)+len(rest)]) == rest
}

// nameMax is longer than any sale's name and a slash.
const nameMax = 72

// fits reports whether the request is one that may be answered here.
func (d *Door) fits(s *script, sale []byte, f *framer) bool {
	key := f.seen.key
	switch {
	case f.seen.special || len(f.seen.host) == 0 || !d.knowsHost(f.seen.host):
		return false
	case s != nil && !s.order || len(key) == 0:
		return true
	}
	return isKey(key) && (s == nil || !d.mayHave(sale, key))
}

// scriptTurned writes what the gate says to strangers.
func (d *Door) scriptTurned() (t turned) {
	if d.origins == nil {
		return t
	}
	crowd, nobody, blocked := gate.Strangers()
	t.crowd = d.scriptWait(&crowd)
	t.shed = d.scriptWait(d.said.overloaded.of)
	t.nobody = d.script(wire.Status(nobody.Code), wire.ProblemType, notStored+"Www-Authenticate: Bearer\r\n", wire.AppendRefusal(nil, &nobody))
	t.nobody.count = d.refused(nobody.Code)
	t.early = d.scriptRefusal(&d.said.noPass)
	t.blocked = d.script(wire.Status(blocked.Code), wire.ProblemType, notStored, wire.AppendRefusal(nil, &blocked))
	t.blocked.count = d.refused(blocked.Code)
	return t
}

// scriptWait returns the script of a refusal that tells to wait; recite fills
// in how long.
func (d *Door) scriptWait(no *shop.Refusal) *script {
	body := wire.AppendRefusal(nil, no)
	s := d.script(wire.Status(no.Code), wire.ProblemType, notStored+"Retry-After: \r\n", body)
	s.wait = len(s.text) - len(body) - len("\r\n\r\n")
	s.count = d.refused(no.Code)
	return s
}

// play appends the answer. Without a script it depends on who asks; false: the
// server has to give it.
func (d *Door) play(c *conn, sale, request []byte, s *script, into []byte) ([]byte, bool) {
	switch {
	case s != nil:
	case d.Pressure.Full() && !d.mayHave(sale, c.frame.seen.key):
		d.Pressure.Shed()
		return d.recite(d.turned.shed, overloadedFor, into), true
	default:
		into, answered := d.turnAway(c, into)
		if !answered && c.admitted {
			return d.sayGone(c, sale, request, into)
		}
		return into, answered
	}
	if s.stamp > 0 && d.Gate.Suspicion.Watches() {
		client, ok := d.clientOf(c)
		if !ok {
			return into, false
		}
		d.Gate.Suspicion.LookedAt(client, d.Now().UnixNano())
	}
	return d.recite(s, 0, into), true
}

// mayHave reports whether the key may have an answer already.
func (d *Door) mayHave(sale, key []byte) bool {
	return len(key) > 0 && d.Desk.KnownKey(view(sale), view(key))
}

// recite appends a script, with the times of now, and counts it.
func (d *Door) recite(s *script, wait time.Duration, into []byte) []byte {
	s.count.Add(1)
	begin := len(into)
	if s.wait > 0 {
		into = append(into, s.text[:s.wait]...)
		into = strconv.AppendInt(into, d.jittered(wait), 10)
	}
	into = append(into, s.text[s.wait:]...)
	copy(into[begin+s.date:], d.date().text)
	if s.stamp > 0 {
		wire.AppendMoment(into[begin+s.stamp:begin+s.stamp], d.Now())
	}
	return into
}

// turnAway refuses a client who is blocked, comes too often or has no token.
// One who may pass has paid the address's limit, so the server does not ask for
// it again.
func (d *Door) turnAway(c *conn, into []byte) ([]byte, bool) {
	client, ok := d.clientOf(c)
	if !ok || d.Options.RateLimitHeaders { // their answers differ from buyer to buyer
		return into, false
	}
	now := d.Now().UnixNano()
	no, refused := errors.AsType[shop.Refusal](d.Gate.Admit(gate.AskOrder, client, now))
	switch {
	case refused && no.Code == shop.Forbidden:
		return d.recite(d.turned.blocked, 0, into), true
	case refused:
		return d.recite(d.turned.crowd, no.RetryAfter, into), true
	}
	who, err := d.Gate.Identify(c.frame.seen.authorization, now)
	if err != nil {
		return d.recite(d.turned.nobody, 0, into), true
	}
	c.admitted, c.client, c.who = true, client, who
	return into, false
}

// sayGone refuses an order for an item that is gone. A buyer whom the gate does
// not admit now hears so from the server, which does not ask the gate again.
func (d *Door) sayGone(c *conn, sale, request, into []byte) ([]byte, bool) {
	seen := &c.frame.seen
	shown, ok := d.display(view(sale))
	if !ok || len(shown.itemScripts) == 0 || !isJSON(seen.contentType) || d.mayHave(sale, seen.key) {
		return into, false
	}
	body := scanner{rest: request[len(request)-seen.length:]}
	want, ok := body.wanted()
	if !ok || want.quantity < 1 {
		return into, false
	}
	s := shown.itemScripts[view(want.sku)]
	if s == nil {
		return into, false
	}
	if c.denied = d.Gate.AdmitBuyer(c.who, shown.notice.Sale.ID, false, d.Now().UnixNano()); c.denied != nil {
		return into, false
	}
	return d.recite(s, 0, into), true
}

// clientOf returns whose limit counts. Behind trusted proxies that is whom they
// name, in one line; false: they name nobody so plainly.
func (d *Door) clientOf(c *conn) (netip.Addr, bool) {
	seen := &c.frame.seen
	switch {
	case seen.tangled:
		return c.peer, !d.Gate.Proxies.Trusts(c.peer)
	case seen.forwarded == nil:
		return c.peer, true
	}
	return d.Gate.Client(c.peer, [][]byte{seen.forwarded}), true
}

// dateText is what Date says in one second.
type dateText struct {
	second int64
	text   string
}

// date returns the text of now.
func (d *Door) date() *dateText {
	now := d.Wall()
	if said := d.dated.Load(); said != nil && said.second == now.Unix() {
		return said
	}
	fresh := &dateText{second: now.Unix(), text: now.UTC().Format(httpDate)}
	d.dated.Store(fresh)
	return fresh
}
