package memory

import (
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// shelf is one bucket's part of the stock. Its lock is held for some hundred
// nanoseconds an ask; nothing under it waits.
type shelf struct {
	bucket shop.Bucket

	mu          sync.Mutex
	known       bool // false: never started, or forgotten
	epoch       int64
	seq         int64 // of the last ticket in this epoch
	lastGrant   int64
	lastReclaim stock.Reclaimed
	mark        int64            // the ledger's seq, as far as heard of
	items       map[string]*item // what this epoch was granted

	// T: the tickets that are not settled, of every epoch, also as a list.
	tickets        map[shop.ClaimID]*entry
	oldest, newest *entry

	buyers map[string]tally // U; who has neither is not in it
}

type item struct {
	sku             string
	free, undecided int64
}

type entry struct {
	ticket       shop.Ticket
	older, newer *entry
}

// tally is what one buyer has: units of tickets that are not settled, and
// units that the ledger last told of. The second is only a hint.
type tally struct{ undecided, live int64 }

// reserve answers the asks and appends the tickets that it wrote to fresh.
func (s *shelf) reserve(asks []stock.Ask, at time.Time, into []stock.Answer, fresh *[]shop.Ticket) []stock.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range asks {
		seq := s.seq
		answer := s.answer(&asks[i], at)
		if s.seq != seq {
			*fresh = append(*fresh, answer.Ticket)
		}
		into = append(into, answer)
	}
	return into
}

func (s *shelf) answer(ask *stock.Ask, at time.Time) stock.Answer {
	if held, ok := s.tickets[ask.Claim]; ok {
		return stock.Answer{Outcome: stock.Pending, Ticket: held.ticket}
	}
	item, ok := s.items[ask.SKU]
	if !ok || ask.Quantity < 1 {
		return stock.Answer{Outcome: stock.Unknown}
	}
	tally := s.buyers[ask.Buyer]
	if ask.Live >= 0 && ask.Live != tally.live {
		tally.live = ask.Live
		s.remember(ask.Buyer, tally)
	}
	if ask.Quantity > ask.Limit-tally.live-tally.undecided {
		return stock.Answer{Outcome: stock.Limit}
	}
	if ask.Quantity > item.free {
		return stock.Answer{Outcome: stock.Out, Free: item.free}
	}
	item.free -= ask.Quantity
	item.undecided += ask.Quantity
	tally.undecided += ask.Quantity
	s.remember(ask.Buyer, tally)
	return stock.Answer{Outcome: stock.Pending, Ticket: s.write(ask, item, at)}
}

// write makes the ticket. Its SKU and sale are the shelf's own strings, so
// that a ticket holds no part of a request.
func (s *shelf) write(ask *stock.Ask, item *item, at time.Time) shop.Ticket {
	s.seq++
	e := &entry{
		ticket: shop.Ticket{
			Claim: ask.Claim, Bucket: s.bucket, Epoch: s.epoch, Seq: s.seq,
			Nonce: ask.Nonce, KeyPrint: ask.KeyPrint, Buyer: ask.Buyer,
			SKU: item.sku, Quantity: ask.Quantity, At: at,
		},
		older: s.newest,
	}
	if s.newest == nil {
		s.oldest = e
	} else {
		s.newest.newer = e
	}
	s.newest = e
	s.tickets[ask.Claim] = e
	return e.ticket
}

// remember keeps a tally for as long as it says something.
func (s *shelf) remember(buyer string, t tally) {
	if t == (tally{}) {
		delete(s.buyers, buyer)
		return
	}
	s.buyers[buyer] = t
}

func (s *shelf) settle(settlements []stock.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return
	}
	for i := range settlements {
		s.mark = max(s.mark, settlements[i].Mark)
		s.end(&settlements[i])
	}
}

func (s *shelf) raise(mark int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		s.mark = max(s.mark, mark)
	}
}

func (s *shelf) end(settlement *stock.Settlement) {
	held, ok := s.tickets[settlement.Ticket.Claim]
	if !ok || !held.ticket.Same(&settlement.Ticket) {
		return
	}
	ticket := &held.ticket
	delete(s.tickets, ticket.Claim)
	s.unlink(held)
	tally := s.buyers[ticket.Buyer]
	tally.undecided -= ticket.Quantity
	if settlement.Live >= 0 {
		tally.live = settlement.Live
	}
	s.remember(ticket.Buyer, tally)
	if ticket.Epoch != s.epoch {
		return // the bump took its units back into the pool
	}
	item := s.items[ticket.SKU]
	item.undecided -= ticket.Quantity
	if settlement.Verdict == shop.Returned {
		item.free += ticket.Quantity
	}
}

func (s *shelf) unlink(e *entry) {
	if e.older == nil {
		s.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		s.newest = e.older
	} else {
		e.newer.older = e.older
	}
}

func (s *shelf) undecided(limit int) []shop.Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := min(limit, len(s.tickets))
	if count < 1 {
		return nil
	}
	tickets := make([]shop.Ticket, 0, count)
	for e := s.oldest; len(tickets) < count; e = e.newer {
		tickets = append(tickets, e.ticket)
	}
	return tickets
}

func (s *shelf) ticket(claim shop.ClaimID) (shop.Ticket, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, ok := s.tickets[claim]; ok {
		return held.ticket, true
	}
	return shop.Ticket{}, false
}

func (s *shelf) look() (stock.Shelf, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return stock.Shelf{}, stock.ErrUnknown
	}
	seen := stock.Shelf{
		Epoch:       s.epoch,
		Free:        make(map[string]int64, len(s.items)),
		Undecided:   make(map[string]int64, len(s.items)),
		Tickets:     len(s.tickets),
		LastGrant:   s.lastGrant,
		LastReclaim: s.lastReclaim,
		Mark:        s.mark,
	}
	for sku, item := range s.items {
		seen.Free[sku], seen.Undecided[sku] = item.free, item.undecided
	}
	return seen, nil
}

func (s *shelf) start(epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known && s.epoch >= epoch {
		return
	}
	s.known, s.epoch, s.seq = true, epoch, 0
	s.lastGrant, s.lastReclaim = 0, stock.Reclaimed{}
	s.items = map[string]*item{}
	s.buyers = map[string]tally{}
	if s.tickets == nil {
		s.tickets = map[shop.ClaimID]*entry{}
	}
	for e := s.oldest; e != nil; e = e.newer { // still to be decided, so they still count
		tally := s.buyers[e.ticket.Buyer]
		tally.undecided += e.ticket.Quantity
		s.buyers[e.ticket.Buyer] = tally
	}
}

// at says whether the supplier speaks of this epoch.
func (s *shelf) at(epoch int64) error {
	if !s.known {
		return stock.ErrUnknown
	}
	if s.epoch != epoch {
		return stock.ErrForked
	}
	return nil
}

func (s *shelf) grant(epoch int64, grant stock.Grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.at(epoch); err != nil {
		return err
	}
	if grant.Number <= s.lastGrant {
		return nil
	}
	if grant.Number != s.lastGrant+1 {
		return stock.ErrForked
	}
	s.lastGrant = grant.Number
	granted, ok := s.items[grant.SKU]
	if !ok {
		granted = &item{sku: grant.SKU}
		s.items[grant.SKU] = granted
	}
	granted.free += grant.Quantity
	return nil
}

func (s *shelf) reclaim(epoch int64, reclaim stock.Reclaim) (stock.Reclaimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.at(epoch); err != nil {
		return stock.Reclaimed{}, err
	}
	if reclaim.Number == s.lastReclaim.Number {
		return s.lastReclaim, nil
	}
	if reclaim.Number != s.lastReclaim.Number+1 || reclaim.Previous != s.lastReclaim {
		return stock.Reclaimed{}, stock.ErrForked
	}
	result := stock.Reclaimed{Number: reclaim.Number, SKU: reclaim.SKU}
	if item, ok := s.items[reclaim.SKU]; ok {
		result.Units = min(item.free, reclaim.Quantity)
		item.free -= result.Units
	}
	s.lastReclaim = result
	return result, nil
}

func (s *shelf) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.epoch, s.seq, s.mark = false, 0, 0, 0
	s.lastGrant, s.lastReclaim = 0, stock.Reclaimed{}
	s.items, s.tickets, s.buyers = nil, nil, nil
	s.oldest, s.newest = nil, nil
}
