package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/pause"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

const (
	// lookMax bounds the wait for fresh looks at the stock before a buyer who
	// found none hears so. A look takes about a millisecond where this node
	// supplies, and some more where another one does.
	lookMax = time.Second
	// looksMax is after how many looks he hears so in any case.
	looksMax = 5
	// askAgain is what a buyer is told to wait where units are on their way.
	askAgain = time.Second
	// restFirst and restMax bound the pause before the stock is asked again for
	// a buyer whose other tickets are undecided. Most are decided within the
	// first two pauses.
	restFirst = 10 * time.Millisecond
	restMax   = 500 * time.Millisecond
)

// visit is one wish on its way through the desk.
type visit struct {
	*Desk
	wish   Wish
	claim  shop.ClaimID
	bucket shop.Bucket
	nonce  uint64
}

func (d *Desk) visit(wish Wish) *visit {
	return &visit{
		Desk: d, wish: wish,
		claim:  d.Hasher.Claim(wish.Sale, wish.Buyer, wish.Key),
		bucket: d.bucket(wish.Sale, wish.Buyer),
		nonce:  d.Nonce(),
	}
}

// known answers a repeat from its decision, or from its ticket: in every
// phase, and before any "sold out".
func (v *visit) known(ctx context.Context) (Answer, bool, error) {
	waiter := v.Decisions.Expect(v.claim) // first: an announcement from here on is not missed
	defer waiter.Leave()
	order, err := v.Claims.Order(ctx, v.claim)
	if err == nil {
		answer, err := v.decided(ctx, &order, true)
		return answer, true, err
	}
	if !errors.Is(err, ledger.ErrNotFound) {
		return Answer{}, false, fmt.Errorf("read a known claim: %w", err)
	}
	ticket, found, err := v.Stock.Ticket(ctx, v.bucket, v.claim)
	if err != nil {
		return Answer{}, false, fmt.Errorf("look for a known ticket: %w", err)
	}
	if found {
		answer, err := v.await(ctx, waiter, &ticket)
		return answer, true, err
	}
	select {
	case <-waiter.Done(): // decided and settled between the two looks
		order := waiter.Order()
		answer, err := v.decided(ctx, &order, true)
		return answer, true, err
	default: // lost with its stock
		return Answer{}, false, nil
	}
}

// enter takes a wish that has no answer yet past the board to the stock.
func (v *visit) enter(ctx context.Context) (Answer, error) {
	notice, err := v.entry(v.wish.Sale, v.wish.SKU)
	if err != nil {
		return Answer{}, err
	}
	limit := notice.Sale.LimitPerBuyer
	if v.wish.Quantity > limit {
		return Answer{}, v.overLimit(ctx, fmt.Sprintf("One buyer may have %d; ask for fewer.", limit))
	}
	return v.reserve(ctx, limit)
}

// reserve asks the stock, and asks again where its no may be out of date.
func (v *visit) reserve(ctx context.Context, limit int64) (Answer, error) {
	waiter := v.Decisions.Expect(v.claim)
	defer waiter.Leave()
	ask := stock.Ask{
		Claim: v.claim, Nonce: v.nonce, KeyPrint: v.Hasher.KeyPrint(v.wish.Sale, v.wish.Key),
		Buyer: v.wish.Buyer, SKU: v.wish.SKU, Quantity: v.wish.Quantity, Limit: limit, Live: stock.LiveUnknown,
	}
	deadline := time.NewTimer(lookMax)
	defer deadline.Stop()
	others := patience{left: v.wish.Wait, rest: restFirst}
	for looks := 0; ; looks++ {
		answer, err := v.ask(ctx, ask)
		if err != nil {
			return Answer{}, err
		}
		switch {
		case answer.Outcome == stock.Pending:
			return v.taken(ctx, waiter, &answer.Ticket)
		case answer.Outcome == stock.Limit && ask.Live != stock.LiveUnknown: // tickets of his are undecided
			if !others.wait(ctx) {
				return Answer{}, v.notNow(answer)
			}
			v.Standings.Forget(v.holder())
			looks, ask.Live = 0, stock.LiveUnknown
		case looks == looksMax:
			return Answer{}, v.notNow(answer)
		case answer.Outcome == stock.Limit:
			ask.Live, err = v.live(ctx, limit)
		default:
			var late bool
			if late, err = v.look(ctx, deadline.C); late {
				looks = looksMax - 1
			}
		}
		if err != nil {
			return Answer{}, err
		}
	}
}

// patience is how long a buyer waits for what becomes of his other tickets.
type patience struct{ left, rest time.Duration }

// wait rests, longer each time. False: he wants to wait no more.
func (p *patience) wait(ctx context.Context) bool {
	rest := min(p.rest, p.left)
	if rest <= 0 {
		return false
	}
	p.left -= rest
	p.rest = min(2*p.rest, restMax)
	return pause.For(ctx, rest)
}

func (v *visit) holder() ledger.Holder { return ledger.Holder{Sale: v.wish.Sale, Buyer: v.wish.Buyer} }

// taken waits for the ticket's decision. A ticket of another visit may be
// decided already, unheard by this one: then the ledger has the answer.
func (v *visit) taken(ctx context.Context, waiter *Waiter, ticket *shop.Ticket) (Answer, error) {
	if ticket.Nonce != v.nonce {
		if answer, found, err := v.known(ctx); found || err != nil {
			return answer, err
		}
	}
	return v.await(ctx, waiter, ticket)
}

// ask puts one ask to the stock. What it leads to is remembered before the
// buyer can come again.
func (v *visit) ask(ctx context.Context, ask stock.Ask) (stock.Answer, error) {
	var space [1]stock.Answer
	answers, err := v.Stock.Reserve(ctx, v.bucket, []stock.Ask{ask}, space[:0])
	if err != nil {
		return stock.Answer{}, fmt.Errorf("reserve: %w", err)
	}
	if answers[0].Outcome == stock.Pending {
		crash.At(crash.AfterReserve)
		v.Known.Add(ledger.Print{Claim: v.claim, KeyPrint: ask.KeyPrint})
	}
	return answers[0], nil
}

// live reads what the ledger says the buyer has, after the stock's hint that
// it is too much. It returns a refusal where the ledger agrees.
func (v *visit) live(ctx context.Context, limit int64) (int64, error) {
	standing, err := v.Standings.Read(ctx, v.holder())
	if err != nil {
		return 0, fmt.Errorf("read the buyer's standing: %w", err)
	}
	if standing.Live+v.wish.Quantity > limit {
		v.recognise(standing)
		return 0, limitReached(standing, fmt.Sprintf("One buyer may have %d, and you have %d.", limit, standing.Live))
	}
	return standing.Live, nil
}

// overLimit refuses more than anybody may have.
func (v *visit) overLimit(ctx context.Context, detail string) error {
	standing, err := v.Standings.Read(ctx, v.holder())
	if err != nil {
		return fmt.Errorf("read the buyer's standing: %w", err)
	}
	v.recognise(standing)
	return limitReached(standing, detail)
}

// recognise makes the visit's own claim known where the ledger has decided it:
// another node did, and its word has not come yet. Then it answers from that.
func (v *visit) recognise(standing ledger.Standing) {
	for i := range standing.Orders {
		if standing.Orders[i].ID == v.claim {
			v.Known.Add(ledger.Print{Claim: v.claim, KeyPrint: v.Hasher.KeyPrint(v.wish.Sale, v.wish.Key)})
		}
	}
}

func limitReached(standing ledger.Standing, detail string) shop.Refusal {
	no := shop.Refusal{Code: shop.LimitReached, Detail: detail}
	for i := range standing.Orders {
		if standing.Orders[i].Status.Live() {
			no.Orders = append(no.Orders, standing.Orders[i].ID)
		}
	}
	return no
}

// look waits until the board has been looked over, or it is late, and returns
// the no that the board shows now. nil: there are units, try again.
func (v *visit) look(ctx context.Context, deadline <-chan time.Time) (late bool, err error) {
	looked := v.Want(v.bucket, v.wish.SKU, v.wish.Quantity)
	select {
	case <-looked:
	case <-deadline:
		late = true
	case <-ctx.Done():
		return late, ctx.Err()
	}
	_, err = v.entry(v.wish.Sale, v.wish.SKU)
	return late, err
}

// notNow is the last no of the stock, while the board still shows units.
func (v *visit) notNow(answer stock.Answer) error {
	notice, err := v.entry(v.wish.Sale, v.wish.SKU)
	if err != nil {
		return err
	}
	_, item, _ := notice.Item(v.wish.SKU)
	// A SKU of which the bucket was never granted any is unknown to it.
	out := answer.Outcome == stock.Out || (answer.Outcome == stock.Unknown && notice.Supplied)
	if out && item.Free < v.wish.Quantity {
		return shop.Refusal{Code: shop.NotEnough, Detail: "Fewer units are free than you ask for; ask for fewer."}
	}
	return shop.Refusal{
		Code: shop.Unavailable, RetryAfter: askAgain,
		Detail: "This cannot be answered at the moment; ask again with the same Idempotency-Key.",
	}
}

// await waits for the ticket's decision, as long as the buyer wants to.
func (v *visit) await(ctx context.Context, waiter *Waiter, ticket *shop.Ticket) (Answer, error) {
	if ticket.SKU != v.wish.SKU || ticket.Quantity != v.wish.Quantity {
		return Answer{}, keyReused()
	}
	repeat := ticket.Nonce != v.nonce
	if v.wish.Wait > 0 {
		timer := time.NewTimer(v.wish.Wait)
		defer timer.Stop()
		select {
		case <-waiter.Done():
			order := waiter.Order()
			if nonce := waiter.Nonce(); nonce != 0 && nonce != v.nonce { // another ticket, at another node perhaps
				repeat = true
			}
			return v.decided(ctx, &order, repeat)
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	v.places.note(v.claim, v.wish.Sale) // he will ask for it by its id
	return Answer{Order: v.pending(ticket), Repeat: repeat}, nil
}

// decided answers with a decided order, if it is of the same wish: a claim
// that this node did not know may have been decided for another one.
func (v *visit) decided(ctx context.Context, order *shop.Order, repeat bool) (Answer, error) {
	if order.SKU != v.wish.SKU || order.Quantity != v.wish.Quantity {
		return Answer{}, keyReused()
	}
	return v.told(ctx, order, repeat)
}

// told turns a decided order into what its buyer hears: a refused one is a no
// that is final for its key.
func (v *visit) told(ctx context.Context, order *shop.Order, repeat bool) (Answer, error) {
	if order.Status != shop.Refused {
		return Answer{Order: *order, Repeat: repeat}, nil
	}
	no := shop.Refusal{Code: order.Reason, Order: order, AsOf: order.AsOf}
	switch order.Reason {
	case shop.LimitReached:
		no.Detail = "You have as many units as one buyer may have."
		no.Orders = v.own(ctx)
	case shop.SoldOut:
		no.Detail = "Sold out."
		no.MayReturn = order.Quantity > 1 && !v.gone()
	default:
		no.Detail = "Others were faster in the last moment. A new attempt, with a new Idempotency-Key, may win."
	}
	return Answer{}, no
}

// own names the buyer's live orders. What the cache remembers is older than
// the decision; without the ledger the refusal comes without them.
func (v *visit) own(ctx context.Context) []shop.ClaimID {
	v.Standings.Forget(v.holder())
	standing, err := v.Standings.Read(ctx, v.holder())
	if err != nil {
		return nil
	}
	return limitReached(standing, "").Orders
}

// gone reports whether the board says that not one unit can come back. The
// ledger's "sold out" only says that fewer can than were asked for.
func (v *visit) gone() bool {
	notice, ok := v.Board.Notice(v.wish.Sale)
	if !ok {
		return false
	}
	_, item, ok := notice.Item(v.wish.SKU)
	return ok && item.No != nil && !item.No.MayReturn
}

func keyReused() shop.Refusal {
	return shop.Refusal{Code: shop.KeyReused, Detail: "This Idempotency-Key was used for another sku or quantity; use a new key."}
}
