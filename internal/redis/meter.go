package redis

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger/convoy"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// meterMax bounds a call: a buyer waits for it before the order is made.
	// Only a Redis that stands still, or a machine that is overrun, takes
	// longer.
	meterMax = 500 * time.Millisecond
	// meterRest is how long a Redis that did not answer is not asked: orders
	// must not wait for it one after the other.
	meterRest = time.Second
)

// errResting says that Redis did not answer a moment ago.
var errResting = errors.New("redis: it did not answer a moment ago, and is not asked about limits for a while")

// Meter counts each buyer's orders for all nodes of a ledger. It keeps
// gate.Meter. Orders that come at once go in one call.
type Meter struct {
	client      *Client
	patience    time.Duration // with one call
	cost, depth string        // microseconds
	parts       []meterPart
	restUntil   atomic.Int64 // in Unix nanoseconds, by the callers' clock
}

// meterPart is the buyers whose keys lie in one slot; there is one for each
// master.
type meterPart struct {
	prefix string
	convoy convoy.Convoy[*taking]
}

// taking is one order that is to be counted.
type taking struct {
	buyer string
	now   int64
	wait  time.Duration
	err   error
}

// Meter returns a meter of that rate, which is not off. Nodes that count
// together have the same.
func (c *Client) Meter(rate gate.Rate) *Meter {
	cost := max(1, math.Round(float64(time.Second/time.Microsecond)/rate.PerSecond))
	m := &Meter{
		client: c, patience: meterMax, parts: make([]meterPart, c.masters),
		cost:  strconv.FormatFloat(cost, 'f', 0, 64),
		depth: strconv.FormatFloat(cost*float64(max(1, rate.Burst)), 'f', 0, 64),
	}
	for i := range m.parts {
		part := &m.parts[i]
		// No sale has a colon in its name.
		part.prefix = "doorbuster:{" + tag(c.options.Ledger, shop.Bucket{Sale: "buyers:", Number: i}) + "}:"
		part.convoy = convoy.Convoy[*taking]{Max: batchMax, Lead: func(ctx context.Context, group []*taking) { m.lead(ctx, part.prefix, group) }}
	}
	return m
}

// Take implements gate.Meter.
func (m *Meter) Take(ctx context.Context, buyer string, now int64) (time.Duration, error) {
	if rest := m.restUntil.Load() - now; rest > 0 && rest <= int64(meterRest) {
		return 0, errResting
	}
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(buyer))
	t := &taking{buyer: buyer, now: now}
	if err := m.parts[int64(hash.Sum32())%int64(len(m.parts))].convoy.Run(ctx, t); err != nil {
		return 0, err
	}
	return t.wait, t.err
}

// lead counts the orders of a group in one call. Repeated, it may count one
// twice.
func (m *Meter) lead(ctx context.Context, prefix string, group []*taking) {
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	keys, now := make([]string, len(group)), int64(0)
	for i, t := range group {
		keys[i], now = prefix+t.buyer, max(now, t.now)
	}
	waits, err := m.ask(ctx, keys, now)
	if err != nil {
		m.restUntil.Store(now + int64(meterRest))
	}
	for i, t := range group {
		if t.err = err; err == nil {
			t.wait = time.Duration(waits[i]) * time.Microsecond
		}
	}
}

func (m *Meter) ask(ctx context.Context, keys []string, now int64) ([]int64, error) {
	args := []string{strconv.FormatInt(now/int64(time.Microsecond), 10), m.cost, m.depth}
	answer, err := m.client.run(ctx, m.client.scripts.meter, keys, args)
	if err != nil {
		return nil, err
	}
	waits, err := answer.AsIntSlice()
	if err != nil || len(waits) != len(keys) {
		return nil, errors.Join(errAnswer, err)
	}
	return waits, nil
}
