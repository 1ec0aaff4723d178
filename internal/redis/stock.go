package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// batchMax is how many asks or settlements one script call carries: Redis
// serves nobody else meanwhile, some 0.5 ms.
const batchMax = 256

// Stock is the fast stock in Redis. Everything of one bucket lies in one slot
// and is changed by one script at a time.
type Stock struct{ client *Client }

var (
	_ stock.Counter = (*Stock)(nil)
	_ stock.Supply  = (*Stock)(nil)
)

// Stock returns the stock in this Redis.
func (c *Client) Stock() *Stock { return &Stock{client: c} }

// Reserve implements stock.Counter. Asks of many callers that wait for one
// bucket travel together. When ctx or reserveMax ends first the outcome is
// unknown; what was sent is not undone.
func (s *Stock) Reserve(ctx context.Context, bucket shop.Bucket, asks []stock.Ask, into []stock.Answer) ([]stock.Answer, error) {
	for i := range asks {
		if err := sound(asks[i].SKU, asks[i].Buyer); err != nil {
			return into, err
		}
	}
	shelf, answers := s.client.shelf(bucket), into
	for len(asks) > 0 {
		part := apart(asks)
		asks = asks[len(part):]
		got, err := s.client.stand(ctx, shelf, part)
		if err != nil {
			return into, fmt.Errorf("reserve in %s: %w", bucket, err)
		}
		answers = append(answers, got...)
	}
	return answers, nil
}

// apart returns the leading asks that may go in one call: no claim and no
// buyer twice.
func apart(asks []stock.Ask) []stock.Ask {
	if len(asks) == 1 {
		return asks
	}
	who := crowd{}
	for n := range asks {
		if n == batchMax || !who.admit(asks[n:n+1]) {
			return asks[:n]
		}
	}
	return asks
}

// Settle implements stock.Counter.
func (s *Stock) Settle(ctx context.Context, bucket shop.Bucket, settlements []stock.Settlement) error {
	for len(settlements) > 0 {
		part := settlements[:min(len(settlements), batchMax)]
		settlements = settlements[len(part):]
		if err := s.settle(ctx, bucket, part); err != nil {
			return fmt.Errorf("settle %d tickets of %s: %w", len(part), bucket, err)
		}
	}
	return nil
}

func (s *Stock) settle(ctx context.Context, bucket shop.Bucket, settlements []stock.Settlement) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	k := s.client.shelf(bucket).keys
	_, err := s.client.run(ctx, s.client.scripts.settle, []string{k.state, k.tickets, k.buyers}, settleArgs(bucket, settlements))
	return err
}

// end is what settlements may share.
type end struct {
	sku            string
	quantity       int64
	epoch          int64
	returned, live int64
}

func settleArgs(bucket shop.Bucket, settlements []stock.Settlement) []string {
	var mark int64
	var ends kinds[end]
	var claims, buyers, cores []string
	for i := range settlements {
		ticket := &settlements[i].Ticket
		mark = max(mark, settlements[i].Mark)
		if ticket.Bucket != bucket || sound(ticket.SKU, ticket.Buyer) != nil {
			continue // no ticket of this bucket can be the same
		}
		e := end{sku: ticket.SKU, quantity: ticket.Quantity, epoch: ticket.Epoch, live: settlements[i].Live}
		if settlements[i].Verdict == shop.Returned {
			e.returned = ticket.Quantity
		}
		ends.add(e)
		claims = append(claims, string(ticket.Claim[:]))
		buyers = append(buyers, ticket.Buyer)
		cores = append(cores, string(appendTicket(make([]byte, 0, ticketSize), ticket)[coreAt:]))
	}
	args := []string{protocol, decimal(mark), strconv.Itoa(len(ends.all)), string(ends.of)}
	for _, e := range ends.all {
		args = append(args, e.sku, decimal(e.quantity), decimal(e.epoch), decimal(e.returned), decimal(e.live))
	}
	return slices.Concat(args, claims, buyers, cores)
}

// kinds numbers what many have in common.
type kinds[K comparable] struct {
	all    []K
	number map[K]byte
	of     []byte // the kind of each that was added
}

// add numbers one of at most batchMax.
func (k *kinds[K]) add(kind K) {
	if n := len(k.of); n > 0 && k.all[k.of[n-1]] == kind { // as most are
		k.of = append(k.of, k.of[n-1])
		return
	}
	number, known := k.number[kind]
	if !known {
		if k.number == nil {
			k.number = map[K]byte{}
		}
		number = byte(len(k.all)) //nolint:gosec // fewer than batchMax
		k.all, k.number[kind] = append(k.all, kind), number
	}
	k.of = append(k.of, number)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// Ticket implements stock.Counter.
func (s *Stock) Ticket(ctx context.Context, bucket shop.Bucket, claim shop.ClaimID) (shop.Ticket, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	c, k := s.client, s.client.shelf(bucket).keys
	if err := c.sameProtocol(ctx, k); err != nil {
		return shop.Ticket{}, false, fmt.Errorf("look for a ticket in %s: %w", bucket, err)
	}
	answer, err := c.do(ctx, func(ctx context.Context) rueidis.RedisResult {
		return c.conn.Do(ctx, c.conn.B().Hget().Key(k.tickets).Field(string(claim[:])).Build())
	})
	if err != nil {
		return shop.Ticket{}, false, fmt.Errorf("look for a ticket in %s: %w", bucket, err)
	}
	if answer.IsNil() {
		return shop.Ticket{}, false, nil
	}
	text, err := answer.ToString()
	if err != nil {
		return shop.Ticket{}, false, err
	}
	ticket, err := readTicket(text, claim, bucket)
	return ticket, err == nil, err
}

// sameProtocol refuses tickets that another version wrote in another way.
func (c *Client) sameProtocol(ctx context.Context, k keys) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	answer, err := c.do(ctx, func(ctx context.Context) rueidis.RedisResult {
		return c.conn.Do(ctx, c.conn.B().Hget().Key(k.state).Field("p").Build())
	})
	if err != nil || answer.IsNil() {
		return err
	}
	theirs, err := answer.ToString()
	if err == nil && theirs != protocol {
		err = fmt.Errorf("%w: %s, this version has %s", ErrProtocol, theirs, protocol)
	}
	return err
}

// scanSize is how many tickets one look at the outbox asks for.
const scanSize = 1000

// Undecided implements stock.Counter. It reads the whole outbox, which is
// small while the ledger keeps up, and holds no more than twice limit of it.
func (s *Stock) Undecided(ctx context.Context, bucket shop.Bucket, limit int) ([]shop.Ticket, error) {
	k := s.client.shelf(bucket).keys
	if limit < 1 {
		return nil, nil
	}
	if err := s.client.sameProtocol(ctx, k); err != nil {
		return nil, fmt.Errorf("read the undecided tickets of %s: %w", bucket, err)
	}
	var tickets []shop.Ticket
	for cursor := uint64(0); ; {
		entry, err := s.scan(ctx, k.tickets, cursor)
		if err != nil {
			return nil, fmt.Errorf("read the undecided tickets of %s: %w", bucket, err)
		}
		tickets = appendScanned(tickets, entry.Elements, bucket)
		if len(tickets) > 2*limit {
			tickets = oldest(tickets, limit)
		}
		if cursor = entry.Cursor; cursor == 0 {
			return oldest(tickets, limit), nil
		}
	}
}

func (s *Stock) scan(ctx context.Context, key string, cursor uint64) (rueidis.ScanEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	c := s.client
	answer, err := c.do(ctx, func(ctx context.Context) rueidis.RedisResult {
		return c.conn.Do(ctx, c.conn.B().Hscan().Key(key).Cursor(cursor).Count(scanSize).Build())
	})
	if err != nil {
		return rueidis.ScanEntry{}, err
	}
	return answer.AsScanEntry()
}

// appendScanned reads claims and tickets in turn. What is no ticket is left
// out: it could be neither decided nor settled.
func appendScanned(tickets []shop.Ticket, pairs []string, bucket shop.Bucket) []shop.Ticket {
	for i := 0; i+1 < len(pairs); i += 2 {
		if len(pairs[i]) != claimSize {
			continue
		}
		ticket, err := readTicket(pairs[i+1], shop.ClaimID([]byte(pairs[i])), bucket)
		if errors.Is(err, errTicket) {
			continue
		}
		tickets = append(tickets, ticket)
	}
	return tickets
}

// oldest returns the first tickets in the order in which the bucket wrote
// them. A scan may bring one twice.
func oldest(tickets []shop.Ticket, limit int) []shop.Ticket {
	slices.SortFunc(tickets, func(a, b shop.Ticket) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Seq, b.Seq))
	})
	tickets = slices.CompactFunc(tickets, func(a, b shop.Ticket) bool { return a.Epoch == b.Epoch && a.Seq == b.Seq })
	return tickets[:min(limit, len(tickets))]
}

// reserveMax is how long a buyer's reservation may take, waiting included.
const reserveMax = time.Second
