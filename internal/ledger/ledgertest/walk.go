package ledgertest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// walk takes random steps with a machine and the model, side by side.
type walk struct {
	*bench
	model     *model
	sale      shop.Sale
	revisions int
	tickets   []shop.Ticket // ever written, to be repeated
}

func testModel(t *testing.T, open Open) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, open)
		b.TB = rt
		defer func() {
			b.audit()
			b.Close()
		}()
		w := &walk{bench: b, sale: document("suite", 6)}
		w.model = newModel(w.sale)
		b.publish(w.sale, ledger.Created)
		rt.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) { w.compare() },
			"tickets": w.stepTickets,
			"supply":  w.stepGrant,
			"reclaim": w.stepReclaim,
			"bump":    w.stepBump,
			"pay":     w.stepPay,
			"cancel":  w.stepCancel,
			"refund":  w.stepRefund,
			"expire":  w.stepExpire,
			"restock": w.stepRestock,
			"wait":    w.stepWait,
			"reopen":  w.stepReopen,
		})
	})
}

// compare wants the machine to stand where the model does, and its books to
// add up.
func (w *walk) compare() {
	w.Helper()
	w.addUp()
	stand := w.stand()
	for sku, want := range w.model.stock {
		if got := stand.Items[sku]; got != *want {
			w.Fatalf("%s stands at %+v, want %+v", sku, got, *want)
		}
	}
	bucket := stand.Buckets[0]
	if bucket.Epoch != w.model.epoch || bucket.LastGrant != w.model.grants || bucket.LastReclaim != w.model.reclaim {
		w.Fatalf("bucket %+v, want epoch %d, grant %d, reclaim %+v", bucket, w.model.epoch, w.model.grants, w.model.reclaim)
	}
}

// same compares an order with its claim in the model.
func (w *walk) same(order shop.Order, claim *modelClaim) {
	w.Helper()
	if order.ID != claim.ticket.Claim || order.Status != claim.status || order.Reason != claim.reason || order.Quantity != claim.ticket.Quantity {
		w.Fatalf("order %v %q of %d, want %v %q of %d", order.Status, order.Reason, order.Quantity, claim.status, claim.reason, claim.ticket.Quantity)
	}
}

// any draws a decided claim, and skips the step where there is none.
func (w *walk) any(rt *rapid.T) *modelClaim {
	if len(w.model.ids) == 0 {
		rt.Skip("nothing decided yet")
	}
	return w.model.claims[rapid.SampledFrom(w.model.ids).Draw(rt, "claim")]
}

func (w *walk) stepTickets(rt *rapid.T) {
	var batch []shop.Ticket
	for range rapid.IntRange(1, 4).Draw(rt, "tickets") {
		if len(w.tickets) > 0 && rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
			batch = append(batch, rapid.SampledFrom(w.tickets).Draw(rt, "ticket"))
			continue
		}
		buyer := fmt.Sprint("buyer", rapid.IntRange(1, 5).Draw(rt, "buyer"))
		w.epoch = max(0, w.model.epoch-rapid.Int64Range(0, 1).Draw(rt, "late"))
		ticket := w.ticket(buyer, fmt.Sprint(rapid.IntRange(1, 4).Draw(rt, "key")))
		ticket.SKU = rapid.SampledFrom([]string{small, large, gift}).Draw(rt, "sku")
		ticket.Quantity = rapid.Int64Range(1, 3).Draw(rt, "quantity")
		ticket.At = time.Time{} // the ledger does not keep it
		batch = append(batch, ticket)
	}
	w.tickets = append(w.tickets, batch...)
	w.model.now = w.Clock().Now()
	for i, got := range w.decide(batch...) {
		claim, verdict := w.model.decide(batch[i])
		if got.Verdict != verdict || got.Live != w.model.live(batch[i].Buyer) {
			w.Fatalf("ticket %d: verdict %v and %d live, want %v and %d", i, got.Verdict, got.Live, verdict, w.model.live(batch[i].Buyer))
		}
		w.same(got.Order, claim)
	}
}

func (w *walk) stepGrant(rt *rapid.T) {
	want := ledger.Grant{
		SKU:      rapid.SampledFrom([]string{small, large, gift}).Draw(rt, "sku"),
		Quantity: rapid.Int64Range(1, 4).Draw(rt, "quantity"),
	}
	if w.model.epoch == 0 {
		rt.Skip("not begun")
	}
	got, err := w.Grant(w.ctx, w.bucket, w.model.epoch, want)
	if !w.model.grant(want.SKU, want.Quantity) {
		w.wantErr(err, ledger.ErrShort)
		return
	}
	want.Number = w.model.grants
	if err != nil || got != want {
		w.Fatalf("grant %+v, %v; want %+v", got, err, want)
	}
}

func (w *walk) stepReclaim(rt *rapid.T) {
	back := w.model.reclaim // again, unless drawn otherwise
	if rapid.Bool().Draw(rt, "new") || back.Number == 0 {
		back = ledger.Reclaim{
			Number: back.Number + 1,
			SKU:    rapid.SampledFrom([]string{small, large, gift}).Draw(rt, "sku"),
			Units:  rapid.Int64Range(0, 3).Draw(rt, "units"),
		}
	}
	if rapid.IntRange(0, 9).Draw(rt, "forked") == 0 {
		back.Units++
	}
	err := w.Reclaim(w.ctx, w.bucket, w.model.epoch, back)
	if w.model.take(back) {
		w.wantErr(err, nil)
	} else {
		w.wantErr(err, ledger.ErrEpoch)
	}
}

func (w *walk) stepBump(rt *rapid.T) {
	epoch := max(0, w.model.epoch-rapid.Int64Range(0, 1).Draw(rt, "stale"))
	now, err := w.Bump(w.ctx, w.bucket, epoch)
	if epoch == w.model.epoch {
		w.model.bump()
	}
	if err != nil || now != w.model.epoch {
		w.Fatalf("bump of %d: now %d, %v; want %d", epoch, now, err, w.model.epoch)
	}
}

func (w *walk) stepPay(rt *rapid.T) {
	claim := w.any(rt)
	reference := fmt.Sprint("r", claim.charges)
	pays := w.model.pay(claim, reference)
	for range 2 { // who reports it again hears the same
		order, err := w.Pay(w.ctx, ledger.Payment{Order: claim.ticket.Claim, Reference: reference})
		if pays {
			w.wantErr(err, nil)
		} else {
			w.wantNo(err, shop.WrongStatus)
		}
		w.same(order, claim)
	}
}

func (w *walk) stepCancel(rt *rapid.T) {
	claim := w.any(rt)
	c := ledger.Cancellation{Order: claim.ticket.Claim, Restock: rapid.Bool().Draw(rt, "restock")}
	if rapid.Bool().Draw(rt, "by buyer") {
		c.Buyer = claim.ticket.Buyer
	}
	order, err := w.Cancel(w.ctx, c)
	if w.model.cancel(claim, c.Buyer == "", c.Restock) {
		w.wantErr(err, nil)
	} else {
		w.wantNo(err, shop.WrongStatus)
	}
	w.same(order, claim)
}

func (w *walk) stepRefund(rt *rapid.T) {
	claim := w.any(rt)
	order, err := w.Refund(w.ctx, claim.ticket.Claim, "back")
	switch claim.status {
	case shop.RefundDue, shop.Refunded:
		claim.status = shop.Refunded
		w.wantErr(err, nil)
	default:
		w.wantNo(err, shop.WrongStatus)
	}
	w.same(order, claim)
}

func (w *walk) stepExpire(*rapid.T) {
	w.model.now = w.Clock().Now()
	ended, err := w.Expire(w.ctx, w.model.ids)
	if err != nil {
		w.Fatalf("expire: %v", err)
	}
	want := 0
	for _, claim := range w.model.claims {
		if w.model.expire(claim) {
			want++
		}
	}
	if len(ended) != want {
		w.Fatalf("%d orders expired, want %d", len(ended), want)
	}
}

func (w *walk) stepRestock(rt *rapid.T) {
	at := rapid.IntRange(0, len(w.sale.Items)-1).Draw(rt, "item")
	change := rapid.Int64Range(-2, 2).Draw(rt, "change")
	next := w.sale
	next.Items = append([]shop.Item(nil), w.sale.Items...)
	item := &next.Items[at]
	item.Stock += change
	w.revisions++
	next.Title = fmt.Sprint("Suite, revision ", w.revisions)
	units := w.model.stock[item.SKU]
	got, err := w.Publish(w.ctx, next)
	switch {
	case item.Stock < 0 || units.Pool+units.Granted+change < 0:
		if _, ok := errors.AsType[*ledger.Broken](err); !ok {
			w.Fatalf("publish: %v, %v; want a broken promise", got, err)
		}
	case units.Pool+change < 0:
		w.wantErr(err, ledger.ErrShort)
	default:
		if err != nil || got != ledger.Changed {
			w.Fatalf("publish: %v, %v; want it changed", got, err)
		}
		w.sale = next
		w.model.restock(item.SKU, change)
	}
}

func (w *walk) stepWait(rt *rapid.T) {
	w.time.Pass(time.Duration(rapid.IntRange(1, 15).Draw(rt, "minutes")) * time.Minute)
}

func (w *walk) stepReopen(*rapid.T) { w.reopen() }
