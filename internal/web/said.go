package web

import (
	"context"
	"errors"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// askAgain is how long a buyer is told to wait where nothing better is known.
const askAgain = time.Second

// overloadedFor is what those are told to wait who were shed. A limit that fell
// takes about two seconds to rise again.
const overloadedFor = 2 * time.Second

func overloaded(detail string) *shop.Refusal {
	return &shop.Refusal{Code: shop.Overloaded, Detail: detail, RetryAfter: overloadedFor}
}

// refusal is a no that was written before anybody asked, so that saying it
// costs no memory.
type refusal struct {
	status     int
	body       []byte
	retryAfter time.Duration
	count      *atomic.Uint64
	of         *shop.Refusal // what it was written from
}

// said holds the refusals that never change.
type said struct {
	notFound, noSale, wrongMethod, wrongHost   refusal
	wrongType, wrongKey, noKey, otherSale      refusal
	overloaded, unavailable, noOrder, noGuests refusal
	noPass, noChallenge                        refusal
}

func (d *Door) write(no *shop.Refusal) refusal {
	return refusal{
		status: wire.Status(no.Code), body: wire.AppendRefusal(nil, no),
		retryAfter: no.RetryAfter, count: d.refused(no.Code), of: no,
	}
}

func (d *Door) writeAll() said {
	no := func(code shop.Code, detail string) refusal {
		return d.write(&shop.Refusal{Code: code, Detail: detail})
	}
	again := func(code shop.Code, detail string) refusal {
		return d.write(&shop.Refusal{Code: code, Detail: detail, RetryAfter: askAgain})
	}
	return said{
		notFound:    no(shop.NotFound, "There is nothing at this address."),
		noSale:      no(shop.NotFound, "There is no such sale."),
		noOrder:     no(shop.NotFound, "You have no such order. If it was pending, ask again with the same Idempotency-Key."),
		noGuests:    no(shop.Forbidden, "This sale has no guests; sign in to buy."),
		noPass:      no(shop.PassRequired, "This sale wants its opening key: add ?opening=KEY to the address; /s/{sale}/state.json has it as opening_key."),
		wrongMethod: no(shop.MethodNotAllowed, "The Allow header lists the methods of this address."),
		wrongHost:   no(shop.Malformed, "This server does not go by the name in Host."),
		wrongType:   no(shop.UnsupportedMedia, "Send JSON, with Content-Type: application/json."),
		wrongKey:    no(shop.Malformed, "An Idempotency-Key has 1 to 64 characters of A-Z, a-z, 0-9, _ and -."),
		noKey:       no(shop.Malformed, "A challenge is for one order: send the Idempotency-Key that the order will have."),
		noChallenge: no(shop.NotFound, "This sale asks nobody to solve a challenge."),
		otherSale:   no(shop.Forbidden, "This token is good for another sale only."),
		overloaded:  d.write(overloaded("Too many buyers wait for an answer; ask again with the same Idempotency-Key.")),
		unavailable: again(shop.Unavailable, "This cannot be answered at the moment; ask again with the same Idempotency-Key."),
	}
}

// say answers with a refusal that is written already.
func (d *Door) say(rc *fasthttp.RequestCtx, no *refusal) {
	no.count.Add(1)
	d.head(rc, no.status, no.retryAfter)
	rc.Response.SetBodyRaw(no.body)
}

// refuse answers with what went wrong: a refusal as such; any other error is
// a fault of ours, which is logged and hidden.
func (d *Door) refuse(rc *fasthttp.RequestCtx, err error) {
	no, ok := errors.AsType[shop.Refusal](err)
	if !ok {
		d.logFault(rc, err)
		d.say(rc, &d.said.unavailable)
		return
	}
	var space [1024]byte
	d.refused(no.Code).Add(1)
	d.head(rc, wire.Status(no.Code), no.RetryAfter)
	rc.Response.SetBody(wire.AppendRefusal(space[:0], &no))
}

// head writes what the answers of all refusals share.
func (d *Door) head(rc *fasthttp.RequestCtx, status int, retryAfter time.Duration) {
	h := &rc.Response.Header
	rc.Response.SetStatusCode(status)
	h.SetContentType(wire.ProblemType)
	noStore(rc)
	if status == fasthttp.StatusUnauthorized {
		h.Set("Www-Authenticate", "Bearer")
	}
	if retryAfter > 0 || status == fasthttp.StatusServiceUnavailable || status == fasthttp.StatusTooManyRequests {
		d.retryAfter(rc, max(retryAfter, askAgain))
	}
}

// noStore keeps an answer out of every cache.
func noStore(rc *fasthttp.RequestCtx) {
	rc.Response.Header.Set("Cache-Control", "no-store")
	rc.Response.Header.Set("X-Content-Type-Options", "nosniff")
}

// retryAfter tells the client to wait at least so long.
func (d *Door) retryAfter(rc *fasthttp.RequestCtx, wait time.Duration) {
	var digits [20]byte
	rc.Response.Header.SetBytesV("Retry-After", strconv.AppendInt(digits[:0], d.jittered(wait), 10))
}

// jittered returns the wait in whole seconds, and up to half as long again, so
// that a crowd does not come back as one.
func (d *Door) jittered(wait time.Duration) int64 {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	return seconds + d.Jitter(seconds/2+2)
}

// faultEvery is how often a route's faults are logged: the first tells what is
// wrong, and Counts.Faults how often.
const faultEvery = 60 // seconds

// logFault logs a fault, one a minute for each route: a ledger that is gone must
// not fill the disk as well.
func (d *Door) logFault(rc *fasthttp.RequestCtx, err error) {
	d.Counts.Faults.Add(1)
	if errors.Is(err, context.Canceled) {
		return // the node stops
	}
	to, _ := find(pathOf(rc))
	now, last := d.Wall().Unix(), d.faulted[to].Load()
	if told := last <= now && now < last+faultEvery; told || !d.faulted[to].CompareAndSwap(last, now) {
		return
	}
	d.Log.Error("a buyer's request failed", "route", to.String(), "failed", d.Counts.Faults.Load(), "error", err)
}

// survive keeps one request's panic from ending everybody's sale.
func (d *Door) survive(rc *fasthttp.RequestCtx) {
	fault := recover()
	if fault == nil {
		return
	}
	d.Counts.Panics.Add(1)
	d.Log.Error("a buyer's request panicked", "panic", fault, "stack", string(debug.Stack()))
	rc.Response.Reset()
	d.say(rc, &d.said.unavailable)
	rc.SetConnectionClose()
}

// fault answers a request that could not be read; the connection ends.
func (d *Door) fault(rc *fasthttp.RequestCtx, err error) {
	what := garbled
	c, ours := rc.Conn().(*conn)
	var timeout interface{ Timeout() bool }
	var small *fasthttp.ErrSmallBuffer
	switch {
	case ours && c.fault != sound:
		what = c.fault
	case errors.As(err, &small):
		what = longHead
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		what = longBody
	case errors.As(err, &timeout) && timeout.Timeout():
		what = late
	}
	rc.Response.Reset()
	if ours {
		c.linger()
		d.allowOrigin(rc, c.frame.seen.origin) // which route it was for is not known
	}
	d.refuse(rc, what.refusal())
}
