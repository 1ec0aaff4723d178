package stocktest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// model is the contract in the fewest words: it keeps no sums, it counts.
type model struct {
	known       bool
	epoch, seq  int64
	lastGrant   int64
	lastReclaim stock.Reclaimed
	free        map[string]int64
	live        map[string]int64
	tickets     []shop.Ticket // oldest first
}

func (m *model) start(epoch int64) {
	if m.known && m.epoch >= epoch {
		return
	}
	*m = model{
		known: true, epoch: epoch, tickets: m.tickets,
		free: map[string]int64{}, live: map[string]int64{},
	}
}

func (m *model) undecidedOf(buyer string) int64 {
	var units int64
	for _, ticket := range m.tickets {
		if ticket.Buyer == buyer {
			units += ticket.Quantity
		}
	}
	return units
}

func (m *model) find(claim shop.ClaimID) int {
	return slices.IndexFunc(m.tickets, func(t shop.Ticket) bool { return t.Claim == claim })
}

func (m *model) reserve(bucket shop.Bucket, ask stock.Ask) stock.Answer {
	if !m.known {
		return stock.Answer{Outcome: stock.Unknown}
	}
	if i := m.find(ask.Claim); i >= 0 {
		return stock.Answer{Outcome: stock.Pending, Ticket: m.tickets[i]}
	}
	free, granted := m.free[ask.SKU]
	if !granted || ask.Quantity < 1 {
		return stock.Answer{Outcome: stock.Unknown}
	}
	if ask.Live != stock.LiveUnknown {
		m.live[ask.Buyer] = ask.Live
	}
	if m.undecidedOf(ask.Buyer)+m.live[ask.Buyer]+ask.Quantity > ask.Limit {
		return stock.Answer{Outcome: stock.Limit}
	}
	if free < ask.Quantity {
		return stock.Answer{Outcome: stock.Out, Free: free}
	}
	m.free[ask.SKU] -= ask.Quantity
	m.seq++
	ticket := shop.Ticket{
		Claim: ask.Claim, Bucket: bucket, Epoch: m.epoch, Seq: m.seq, Nonce: ask.Nonce,
		KeyPrint: ask.KeyPrint, Buyer: ask.Buyer, SKU: ask.SKU, Quantity: ask.Quantity,
	}
	m.tickets = append(m.tickets, ticket)
	return stock.Answer{Outcome: stock.Pending, Ticket: ticket}
}

func (m *model) settle(s stock.Settlement) {
	i := m.find(s.Ticket.Claim)
	if i < 0 || !m.tickets[i].Same(&s.Ticket) {
		return
	}
	m.tickets = slices.Delete(m.tickets, i, i+1)
	if s.Live != stock.LiveUnknown {
		m.live[s.Ticket.Buyer] = s.Live
	}
	if s.Verdict == shop.Returned && s.Ticket.Epoch == m.epoch {
		m.free[s.Ticket.SKU] += s.Ticket.Quantity
	}
}

func (m *model) at(epoch int64) error {
	if !m.known {
		return stock.ErrUnknown
	}
	if m.epoch != epoch {
		return stock.ErrForked
	}
	return nil
}

func (m *model) grant(epoch int64, g stock.Grant) error {
	if err := m.at(epoch); err != nil || g.Number <= m.lastGrant {
		return err
	}
	if g.Number > m.lastGrant+1 {
		return stock.ErrForked
	}
	m.lastGrant = g.Number
	m.free[g.SKU] += g.Quantity
	return nil
}

func (m *model) reclaim(epoch int64, r stock.Reclaim) (stock.Reclaimed, error) {
	if err := m.at(epoch); err != nil {
		return stock.Reclaimed{}, err
	}
	if r.Number == m.lastReclaim.Number {
		return m.lastReclaim, nil
	}
	if r.Number != m.lastReclaim.Number+1 || r.Previous != m.lastReclaim {
		return stock.Reclaimed{}, stock.ErrForked
	}
	m.lastReclaim = stock.Reclaimed{Number: r.Number, SKU: r.SKU, Units: min(m.free[r.SKU], r.Quantity)}
	if m.lastReclaim.Units > 0 {
		m.free[r.SKU] -= m.lastReclaim.Units
	}
	return m.lastReclaim, nil
}

func (m *model) shelf() (stock.Shelf, error) {
	if !m.known {
		return stock.Shelf{}, stock.ErrUnknown
	}
	undecided := map[string]int64{}
	for _, ticket := range m.tickets {
		if ticket.Epoch == m.epoch {
			undecided[ticket.SKU] += ticket.Quantity
		}
	}
	return stock.Shelf{
		Epoch: m.epoch, Free: m.free, Undecided: undecided, Tickets: len(m.tickets),
		LastGrant: m.lastGrant, LastReclaim: m.lastReclaim,
	}, nil
}

// testModel walks machine and model at random, hand in hand.
func testModel(t *testing.T, machine Machine) {
	walks := 0
	rapid.Check(t, func(r *rapid.T) {
		walks++
		w := &walk{bench: bench{
			TB: r, Machine: machine, ctx: t.Context(),
			bucket: shop.Bucket{Sale: fmt.Sprintf("model-%d", walks)},
		}}
		r.Repeat(map[string]func(*rapid.T){
			"":        w.check,
			"start":   w.startSome,
			"forget":  w.forgetRarely,
			"grant":   w.grantSome,
			"reclaim": w.reclaimSome,
			"reserve": w.reserveSome,
			"settle":  w.settleSome,
			"sell":    w.settleOldest,
		})
		w.Forget(w.bucket)
	})
}

// walk is one run of the machine beside the model.
type walk struct {
	bench
	model  model
	issued []shop.Ticket // every ticket that was ever answered
}

func someSKU() *rapid.Generator[string] { return rapid.SampledFrom([]string{small, large, "eu-50"}) }

// near draws a number around the one that would do.
func near(r *rapid.T, label string, right int64) int64 {
	return max(1, right+rapid.SampledFrom([]int64{0, 0, 0, 0, -1, -2, 1}).Draw(r, label))
}

func (w *walk) startSome(r *rapid.T) {
	epoch := max(0, w.model.epoch+rapid.Int64Range(-1, 1).Draw(r, "epoch step"))
	if err := w.Supply.Start(w.ctx, w.bucket, epoch); err != nil {
		r.Fatalf("start epoch %d: %v", epoch, err)
	}
	w.model.start(epoch)
}

func (w *walk) forgetRarely(r *rapid.T) {
	if rapid.IntRange(0, 9).Draw(r, "forget at 0") == 0 {
		w.Forget(w.bucket)
		w.model = model{}
	}
}

func (w *walk) grantSome(r *rapid.T) {
	epoch := near(r, "epoch", w.model.epoch)
	grant := stock.Grant{
		Number: near(r, "number", w.model.lastGrant+1), SKU: someSKU().Draw(r, "sku"),
		Quantity: rapid.Int64Range(1, 6).Draw(r, "units"),
	}
	sameError(r, w.tryGrant(epoch, grant.Number, grant.SKU, grant.Quantity), w.model.grant(epoch, grant))
}

func (w *walk) reclaimSome(r *rapid.T) {
	epoch := near(r, "epoch", w.model.epoch)
	reclaim := stock.Reclaim{
		Number: near(r, "number", w.model.lastReclaim.Number+1), SKU: someSKU().Draw(r, "sku"),
		Quantity: rapid.Int64Range(1, 4).Draw(r, "units"), Previous: w.model.lastReclaim,
	}
	if rapid.IntRange(0, 4).Draw(r, "wrong previous at 0") == 0 {
		reclaim.Previous.Units++
	}
	got, err := w.tryReclaim(epoch, reclaim)
	want, wantErr := w.model.reclaim(epoch, reclaim)
	sameError(r, err, wantErr)
	if got != want {
		r.Fatalf("reclaimed %+v, want %+v", got, want)
	}
}

func sameError(r *rapid.T, got, want error) {
	r.Helper()
	if !errors.Is(got, want) {
		r.Fatalf("error is %v, want %v", got, want)
	}
}

func (w *walk) reserveSome(r *rapid.T) {
	var asks []stock.Ask
	for range rapid.IntRange(1, 4).Draw(r, "asks") {
		w.nonce++
		asks = append(asks, stock.Ask{
			Claim: claim(rapid.StringMatching(`[a-h]`).Draw(r, "claim")), Nonce: w.nonce, KeyPrint: ^w.nonce,
			Buyer: rapid.SampledFrom([]string{"ann", "bob", "cid"}).Draw(r, "buyer"), SKU: someSKU().Draw(r, "sku"),
			Quantity: rapid.Int64Range(0, 3).Draw(r, "quantity"), Limit: rapid.Int64Range(1, 6).Draw(r, "limit"),
			Live: rapid.SampledFrom([]int64{stock.LiveUnknown, stock.LiveUnknown, 0, 1, 3}).Draw(r, "live"),
		})
	}
	got, err := w.Counter.Reserve(w.ctx, w.bucket, asks, nil)
	if err != nil || len(got) != len(asks) {
		r.Fatalf("%d answers to %d asks, error %v", len(got), len(asks), err)
	}
	for i := range asks {
		want := w.model.reserve(w.bucket, asks[i])
		if held := w.model.find(asks[i].Claim); held >= 0 && want.Ticket.At.IsZero() {
			w.model.tickets[held].At = got[i].Ticket.At // the machine's clock; from now on it must stay
			want.Ticket.At = got[i].Ticket.At
			w.issued = append(w.issued, want.Ticket)
		}
		if diff := cmp.Diff(want, got[i]); diff != "" {
			r.Fatalf("answer to %+v (-want +got):\n%s", asks[i], diff)
		}
	}
}

func (w *walk) settleSome(r *rapid.T) {
	if len(w.issued) == 0 {
		r.Skip("no ticket was issued yet")
	}
	var settlements []stock.Settlement
	for range rapid.IntRange(1, 3).Draw(r, "settlements") {
		ticket := rapid.SampledFrom(w.issued).Draw(r, "ticket")
		switch rapid.IntRange(0, 9).Draw(r, "change") {
		case 0:
			ticket.Nonce++
		case 1:
			ticket.Seq++
		case 2:
			ticket.Epoch++
		}
		settlements = append(settlements, drawEnd(r, ticket))
	}
	w.settleBoth(r, settlements)
}

// settleOldest is what a worker does most of the time.
func (w *walk) settleOldest(r *rapid.T) {
	if len(w.model.tickets) == 0 {
		r.Skip("no ticket is undecided")
	}
	w.settleBoth(r, []stock.Settlement{drawEnd(r, w.model.tickets[0])})
}

func drawEnd(r *rapid.T, ticket shop.Ticket) stock.Settlement {
	return stock.Settlement{
		Ticket:  ticket,
		Verdict: rapid.SampledFrom([]shop.Verdict{shop.Consumed, shop.Returned}).Draw(r, "verdict"),
		Live:    rapid.Int64Range(stock.LiveUnknown, 3).Draw(r, "live"),
	}
}

func (w *walk) settleBoth(r *rapid.T, settlements []stock.Settlement) {
	if err := w.Counter.Settle(w.ctx, w.bucket, settlements); err != nil {
		r.Fatalf("settle: %v", err)
	}
	for _, settlement := range settlements {
		w.model.settle(settlement)
	}
}

// check compares everything that can be read.
func (w *walk) check(r *rapid.T) {
	want, wantErr := w.model.shelf()
	got, err := w.Supply.Shelf(w.ctx, w.bucket)
	sameError(r, err, wantErr)
	none := cmpopts.IgnoreMapEntries(func(_ string, units int64) bool { return units == 0 })
	if diff := cmp.Diff(want, got, none, cmpopts.EquateEmpty()); diff != "" {
		r.Fatalf("shelf (-want +got):\n%s", diff)
	}
	for _, limit := range []int{2, 100} {
		tickets, err := w.Counter.Undecided(w.ctx, w.bucket, limit)
		if err != nil {
			r.Fatalf("undecided: %v", err)
		}
		oldest := w.model.tickets[:min(limit, len(w.model.tickets))]
		if diff := cmp.Diff(oldest, tickets, cmpopts.EquateEmpty()); diff != "" {
			r.Fatalf("undecided tickets, limit %d (-want +got):\n%s", limit, diff)
		}
	}
}
