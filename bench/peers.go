package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/bench/load"
)

const (
	// peersConns and peersPeriods are the load that other shops of this kind are
	// shown with: 64 connections for 10 s.
	peersConns, peersPeriods = 64, 5
	// What is for sale for each second of that. It is gone within a third of it,
	// or half with a core less, so that both kinds of answers come at full speed.
	aloneUnits, sharedUnits = 2000, 1000
	// The pace of refusals is the greatest there is; it may rise a little.
	peersSpare = 1.4
)

// counter is where a shop under the peers' load lets people in, and how it
// ends.
type counter struct {
	buyers, operators string // HOST:PORT
	close             func()
}

// peersAlone is E9: the peers' load on a node that stands alone, and again
// while another process takes one of the cores.
func (b *bench) peersAlone(ctx context.Context) ([]line, error) {
	return b.peers(ctx, aloneUnits, func(sales ...sale) (*counter, error) {
		n, err := b.startNode(ctx, "", sales...)
		if err != nil {
			return nil, err
		}
		return &counter{n.buyers, n.operators, func() { _ = n.end() }}, nil // its figures are known
	})
}

// peersShared is D7: the same of a node over PostgreSQL and Redis.
func (b *bench) peersShared(ctx context.Context) ([]line, error) {
	return b.peers(ctx, sharedUnits, func(sales ...sale) (*counter, error) {
		f, err := b.startFleet(ctx, 1, false, sales...)
		if err != nil {
			return nil, err
		}
		return &counter{f.Nodes[0].Buyers, f.Nodes[0].Operators, f.end}, nil
	})
}

// peers measures both in turn, each repetition in a shop of its own.
func (b *bench) peers(ctx context.Context, perSecond float64, open func(...sale) (*counter, error)) ([]line, error) {
	units := int64(perSecond * (peersPeriods * b.period).Seconds())
	var calm, beside []*tally
	for range b.reps {
		c, err := open(openSale("gone", 1, 0), openSale("calm", 1, units), openSale("beside", 1, units))
		if err != nil {
			return nil, err
		}
		one, err := b.press(ctx, c, stage{"calm", units, false})
		calm = append(calm, one)
		if err == nil {
			one, err = b.press(ctx, c, stage{"beside", units, true})
			beside = append(beside, one)
		}
		c.close()
		if err != nil {
			return nil, err
		}
	}
	what := fmt.Sprintf("%d connections for %s, %d units", peersConns, peersPeriods*b.period, units)
	return append(tallyLines(what, calm), tallyLines(what+", a core taken", beside)...), nil
}

// stage is what one run sells, and whether another process takes a core
// meanwhile.
type stage struct {
	sale   string
	units  int64
	beside bool
}

// press lets the crowd buy a sale out and go on asking, and holds what it heard
// against the books.
func (b *bench) press(ctx context.Context, c *counter, s stage) (*tally, error) {
	buyers, first, err := b.peersCrowd(c, s)
	if err != nil {
		return nil, err
	}
	t := &tally{first: first, others: map[string]int64{}}
	result, err := b.drive(c, s, buyers, t)
	if err != nil {
		return nil, err
	}
	t.took = result.Elapsed
	if result.Errors > 0 {
		t.others["broken connection"] = result.Errors
	}
	accounts, err := readBooks(ctx, c.operators, s.sale)
	if err != nil {
		return nil, err
	}
	if t.refused.Load() == 0 && accounts.units < s.units { // the time was too short to tell what is left over
		return nil, fmt.Errorf("after %s %d of %d units are sold and nobody heard sold out: %v", t.took, accounts.units, s.units, t.others)
	}
	t.reckon(accounts, s.units)
	return t, nil
}

// drive is the crowd's own time.
func (b *bench) drive(c *counter, s stage, buyers *requests, t *tally) (result load.Result, err error) {
	if s.beside {
		r, fault := b.startRival()
		if fault != nil {
			return result, fault
		}
		defer func() {
			var fault error
			t.taken, fault = r.end()
			err = errors.Join(err, fault)
		}()
	}
	crowd := load.Crowd{Address: c.buyers, Conns: peersConns, Most: peersPeriods * b.period}
	return crowd.Each(buyers.once(), t.hear)
}

// peersCrowd writes as many orders as can be answered, of buyers who never came
// before, and returns the number of the first.
func (b *bench) peersCrowd(c *counter, s stage) (crowd *requests, first uint64, err error) {
	late, err := b.crowd.orders(b.pool, of("gone", "sku-0"))
	if err != nil {
		return nil, 0, err
	}
	warm, err := load.Closed(c.buyers, peersConns, b.period/2, late.again())
	if err != nil {
		return nil, 0, err
	}
	most := s.units + int64(peersSpare*warm.PerSecond()*(peersPeriods*b.period).Seconds())
	first = b.crowd.next + 1
	crowd, err = b.crowd.orders(int(most), of(s.sale, "sku-0"))
	return crowd, first, err
}
