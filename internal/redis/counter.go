package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

const (
	// flightsMax is how many calls of one bucket are under way at once: while
	// Redis works on one, the next gathers.
	flightsMax = 2
	// fullFlightsMax is how many there are where the next one would be full: it
	// gains nothing by waiting, and Redis, where it syncs each time before it
	// answers, does so once for all that have come.
	fullFlightsMax = 4
	// waitingMax bounds the asks that wait for one bucket. At the pace of a
	// slow Redis they are served within reserveMax.
	waitingMax = 1 << 14
)

// ErrBusy says that too many asks wait for the bucket. None of the call's own
// was made.
var ErrBusy = errors.New("redis: too many wait for this bucket")

// party is the asks of one caller, at most batchMax.
type party struct {
	asks    []stock.Ask
	answers []stock.Answer
	err     error
	done    chan struct{}
	left    atomic.Bool // the caller went away: no need to ask any more
}

// counter is where the parties of one bucket stand in line. What waits when a
// flight leaves goes together.
type counter struct {
	mu      sync.Mutex
	waiting []*party
	asks    int // of waiting
	flights int
}

// stand waits in line for answers to the asks, each as if alone and in order.
func (c *Client) stand(ctx context.Context, s *shelf, asks []stock.Ask) ([]stock.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &party{asks: slices.Clone(asks), done: make(chan struct{})}
	if err := c.join(s, p); err != nil { //nolint:contextcheck // a flight carries many callers
		return nil, err
	}
	timer := time.NewTimer(reserveMax)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.answers, p.err
	case <-ctx.Done():
		p.left.Store(true)
		return nil, ctx.Err()
	case <-timer.C:
		p.left.Store(true)
		return nil, fmt.Errorf("no answer within %s: %w", reserveMax, context.DeadlineExceeded)
	}
}

func (c *Client) join(s *shelf, p *party) error {
	line := &s.counter
	line.mu.Lock()
	defer line.mu.Unlock()
	if line.asks+len(p.asks) > waitingMax {
		return ErrBusy
	}
	if line.flights < flightsMax || (line.flights < fullFlightsMax && line.asks+len(p.asks) >= batchMax) {
		if err := c.launch(func() { c.fly(s) }); err != nil {
			return err
		}
		line.flights++
	}
	line.waiting = append(line.waiting, p)
	line.asks += len(p.asks)
	return nil
}

// fly carries batches until nobody waits.
func (c *Client) fly(s *shelf) {
	for {
		batch := s.counter.board()
		if len(batch) == 0 {
			return
		}
		c.carry(s, batch)
	}
}

// crowd is who is in one call: nobody twice, so that the script need not look
// for what it has just written.
type crowd struct {
	claims map[shop.ClaimID]bool
	buyers map[string]bool
}

// admit lets the asks in, or none of them.
func (c *crowd) admit(asks []stock.Ask) bool {
	if c.claims == nil {
		c.claims, c.buyers = make(map[shop.ClaimID]bool, batchMax), make(map[string]bool, batchMax)
	}
	for i := range asks {
		if c.claims[asks[i].Claim] || c.buyers[asks[i].Buyer] {
			return false
		}
	}
	for i := range asks {
		c.claims[asks[i].Claim], c.buyers[asks[i].Buyer] = true, true
	}
	return true
}

// boardMax bounds how many parties a flight passes over because they do not
// fit.
const boardMax = 4 * batchMax

// board takes the parties that fit into one call, from the head of the line.
// Whoever comes twice waits for the next call. The flight ends when nobody is
// left, or when its next call would not be full and enough others are under
// way.
func (l *counter) board() []*party {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flights > flightsMax && l.asks < batchMax {
		l.flights--
		return nil
	}
	var batch, stay []*party
	who, room, looked := crowd{}, batchMax, 0
	for room > 0 && len(stay) < boardMax && looked < len(l.waiting) {
		p := l.waiting[looked]
		looked++
		switch {
		case p.left.Load():
			l.asks -= len(p.asks)
		case len(p.asks) <= room && who.admit(p.asks):
			room -= len(p.asks)
			l.asks -= len(p.asks)
			batch = append(batch, p)
		default:
			stay = append(stay, p)
		}
	}
	copy(l.waiting[looked-len(stay):], stay)
	l.waiting = slices.Delete(l.waiting, 0, looked-len(stay))
	if len(batch) == 0 {
		l.flights--
	}
	return batch
}

// carry asks Redis for one batch and tells its parties.
func (c *Client) carry(s *shelf, batch []*party) {
	// No caller's own context: when one leaves, the others want their answers.
	ctx, cancel := context.WithTimeout(context.Background(), reserveMax)
	defer cancel()
	f := &flight{bucket: s.bucket, at: c.options.Now().UTC().Round(0)}
	for _, p := range batch {
		for i := range p.asks {
			f.asks = append(f.asks, &p.asks[i])
		}
	}
	k := s.keys
	answer, err := c.run(ctx, c.scripts.reserve, []string{k.state, k.tickets, k.buyers, k.stream, k.depth}, f.args())
	var answers []stock.Answer
	if err == nil {
		answers, err = f.read(answer)
	}
	if f.fresh > 0 {
		c.ring(s)
	}
	for _, p := range batch {
		if p.err = err; err == nil {
			p.answers, answers = answers[:len(p.asks):len(p.asks)], answers[len(p.asks):]
		}
		close(p.done)
	}
}

// flight is one call of the reserve script.
type flight struct {
	bucket shop.Bucket
	at     time.Time
	asks   []*stock.Ask
	fresh  int // new tickets
}

// wish is what asks may share.
type wish struct {
	sku                   string
	quantity, limit, live int64
}

// args writes the asks as reserve.lua reads them.
func (f *flight) args() []string {
	n := len(f.asks)
	var wishes kinds[wish]
	claims, heads := make([]byte, 0, n*claimSize), make([]byte, 0, n*headSize)
	lengths, names := make([]byte, 0, n*2), make([]byte, 0, n*32)
	for _, ask := range f.asks {
		wishes.add(wish{sku: ask.SKU, quantity: bounded(ask.Quantity), limit: bounded(ask.Limit), live: bounded(ask.Live)})
		ticket := ticketOf(ask, f.bucket, f.at)
		claims = append(claims, ask.Claim[:]...)
		lengths = binary.BigEndian.AppendUint16(lengths, uint16(len(ask.Buyer))) //nolint:gosec // bounded by sound
		names = append(names, ask.Buyer...)
		heads = appendHead(heads, &ticket)
	}
	args := make([]string, 0, 3+5*len(wishes.all)+4)
	args = append(args, protocol, strconv.Itoa(len(wishes.all)), string(wishes.of),
		string(claims), string(lengths), string(names), string(heads))
	for _, w := range wishes.all {
		args = append(args, w.sku, decimal(w.quantity), decimal(w.limit), decimal(w.live), string(appendWish(nil, w.sku, w.quantity)))
	}
	return args
}

// bounded keeps a number where a script's arithmetic is exact. Nobody has as
// many units.
func bounded(n int64) int64 { return max(-numberMax, min(numberMax, n)) }

var errAnswer = errors.New("redis: an answer that no script of this version gives")

// read reads the script's answer.
func (f *flight) read(message rueidis.RedisMessage) ([]stock.Answer, error) {
	answers := make([]stock.Answer, len(f.asks))
	if message.IsNil() {
		for i := range answers {
			answers[i].Outcome = stock.Unknown
		}
		return answers, nil
	}
	parts, err := message.ToArray()
	if err != nil || len(parts) < 3 {
		return nil, errors.Join(errAnswer, err)
	}
	epoch, epochErr := parts[0].AsInt64()
	seq, seqErr := parts[1].AsInt64()
	codes, err := parts[2].ToString()
	if err := errors.Join(epochErr, seqErr, err); err != nil || len(codes) != len(answers) {
		return nil, errors.Join(errAnswer, err)
	}
	r := reader{flight: f, epoch: epoch, seq: seq, extra: parts[3:]}
	for i := range answers {
		if answers[i], err = r.answer(codes[i], f.asks[i]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// reader walks along an answer.
type reader struct {
	*flight
	epoch, seq int64
	extra      []rueidis.RedisMessage
}

func (r *reader) answer(code byte, ask *stock.Ask) (stock.Answer, error) {
	switch code {
	case 'n':
		ticket := ticketOf(ask, r.bucket, r.at)
		r.seq++
		r.fresh++
		ticket.Epoch, ticket.Seq = r.epoch, r.seq
		return stock.Answer{Outcome: stock.Pending, Ticket: ticket}, nil
	case 'h':
		text, err := r.next().ToString()
		if err != nil {
			return stock.Answer{}, errors.Join(errAnswer, err)
		}
		ticket, err := readTicket(text, ask.Claim, r.bucket)
		return stock.Answer{Outcome: stock.Pending, Ticket: ticket}, err
	case 'l':
		return stock.Answer{Outcome: stock.Limit}, nil
	case 'z':
		return stock.Answer{Outcome: stock.Out}, nil
	case 'o':
		free, err := r.next().AsInt64()
		return stock.Answer{Outcome: stock.Out, Free: free}, err
	case 'u':
		return stock.Answer{Outcome: stock.Unknown}, nil
	}
	return stock.Answer{}, errAnswer
}

// next returns the next extra; one that is missing is the nil message.
func (r *reader) next() *rueidis.RedisMessage {
	if len(r.extra) == 0 {
		return &rueidis.RedisMessage{}
	}
	first := &r.extra[0]
	r.extra = r.extra[1:]
	return first
}
