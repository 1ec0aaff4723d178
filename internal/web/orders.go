package web

import (
	"context"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// guestFor is how long a guest's token is good: past every hold, so that a
// guest can come back to what was bought.
const guestFor = 30 * 24 * time.Hour

// order shows the buyer's order. Somebody else's is not found, and to a token
// that is good for one sale neither is another sale's.
func (d *Door) order(ctx context.Context, rc *fasthttp.RequestCtx, name []byte) {
	d.withOrder(rc, name, func(who gate.Identity, id shop.ClaimID) error {
		order, err := d.Desk.Order(ctx, who, id)
		if err != nil {
			return err
		}
		d.show(rc, fasthttp.StatusOK, &order)
		return nil
	})
}

// cancel gives the buyer's units back.
func (d *Door) cancel(ctx context.Context, rc *fasthttp.RequestCtx, name []byte) {
	d.withOrder(rc, name, func(who gate.Identity, id shop.ClaimID) error {
		order, err := d.Desk.Cancel(ctx, who, id)
		if err != nil {
			return err
		}
		d.show(rc, fasthttp.StatusOK, &order)
		return nil
	})
}

// payment tells where to pay.
func (d *Door) payment(ctx context.Context, rc *fasthttp.RequestCtx, name []byte) {
	d.withOrder(rc, name, func(who gate.Identity, id shop.ClaimID) error {
		address, err := d.StartPayment(ctx, who, id)
		if err != nil {
			return err
		}
		if strings.HasPrefix(address, "/") { // a page of this very node
			address = d.origin(rc) + address
		}
		body := wire.AppendString([]byte(`{"url":`), address)
		d.personal(rc, fasthttp.StatusOK, append(body, '}'))
		return nil
	})
}

// origin is where the buyer reached this node, as far as proxies that are
// trusted say.
func (d *Door) origin(rc *fasthttp.RequestCtx) string {
	scheme := "http"
	if c, ok := rc.Conn().(*conn); ok && d.Gate.Proxies.Trusts(c.peer) &&
		string(rc.Request.Header.Peek("X-Forwarded-Proto")) == "https" {
		scheme = "https"
	}
	return scheme + "://" + string(rc.Host())
}

// withOrder does what is asked with an order of the buyer whose token this is.
func (d *Door) withOrder(rc *fasthttp.RequestCtx, name []byte, do func(gate.Identity, shop.ClaimID) error) {
	var who gate.Identity
	if !d.identify(rc, &who) {
		return
	}
	id, ok := shop.ParseClaimID(view(name))
	if !ok {
		d.say(rc, &d.said.noOrder)
		return
	}
	if err := d.holder(func() error { return do(who, id) }); err != nil {
		d.refuse(rc, err)
	}
}

// holder serves somebody who has an order, or may have one: such buyers are
// turned away last.
func (d *Door) holder(do func() error) error {
	if !d.Pressure.EnterHolder() {
		return *d.said.overloaded.of
	}
	defer d.Pressure.LeaveHolder()
	return do()
}

// orders lists the buyer's orders in a sale.
func (d *Door) orders(ctx context.Context, rc *fasthttp.RequestCtx) {
	var who gate.Identity
	if !d.identify(rc, &who) {
		return
	}
	sale := string(rc.QueryArgs().Peek("sale"))
	switch {
	case sale == "":
		d.refuse(rc, shop.Refusal{Code: shop.Malformed, Detail: "Name the sale: /api/v1/orders?sale=…"})
		return
	case who.Sale != "" && who.Sale != sale:
		d.say(rc, &d.said.otherSale)
		return
	}
	var orders []shop.Order
	err := d.holder(func() (err error) {
		orders, err = d.Desk.OrdersOf(ctx, who.Buyer, sale)
		return err
	})
	if err != nil {
		d.refuse(rc, err)
		return
	}
	d.personal(rc, fasthttp.StatusOK, appendOrders(nil, orders))
}

// guest gives a token to somebody without an account, good for one sale.
func (d *Door) guest(rc *fasthttp.RequestCtx) {
	if !isJSON(rc.Request.Header.ContentType()) {
		d.say(rc, &d.said.wrongType)
		return
	}
	var body struct {
		Sale string `json:"sale"`
	}
	if err := decode(rc.Request.Body(), &body); err != nil {
		d.refuse(rc, err)
		return
	}
	shown, ok := d.display(body.Sale)
	switch {
	case !ok:
		d.say(rc, &d.said.noSale)
		return
	case !shown.notice.Sale.Guests:
		d.say(rc, &d.said.noGuests)
		return
	}
	who := gate.Identity{Buyer: "guest-" + d.NewName(), Sale: shown.notice.Sale.ID}
	token, err := d.Guests.Sign(who, d.Now(), guestFor)
	if err != nil {
		d.refuse(rc, err)
		return
	}
	d.Counts.Guests.Add(1)
	reply := wire.AppendString([]byte(`{"token":`), token)
	d.personal(rc, fasthttp.StatusCreated, append(reply, '}'))
}
