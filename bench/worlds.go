package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

const (
	// scaleConns drive each node of E8 and make scale.
	scaleConns = 64
	// shelfSales of a thousand units each are as many orders as a measurement
	// wants; the last fifth of a stock comes in small chunks and is left.
	shelfSales, shelfOrders = 10, 800
	// calmOrders come in a second where their p99 is looked at: few beside what a
	// node decides.
	calmOrders = 2000
)

// place names the sale and SKU of the nth request.
type place func(n int) (sale, sku string)

// selling is a node that refuses and sells.
type selling struct {
	*bench
	label   string // of its profiles
	node    *node
	gone    place
	forSale func(rep int) place
}

// measure implements world: the CPU of a refusal and of an order.
func (s *selling) measure(ctx context.Context, rep int) ([]float64, error) {
	refusal, err := s.refuse(ctx)
	if err != nil {
		return nil, err
	}
	order, err := s.order(ctx, rep)
	return []float64{refusal.cpu, order.cpu}, err
}

// end implements world. The node that has seen everybody goes on.
func (s *selling) end() error {
	if s.node == s.crowded {
		return nil
	}
	return s.node.end()
}

// refuse lets buyers ask for what is sold out.
func (s *selling) refuse(ctx context.Context) (sample, error) {
	buyers, err := s.crowd.orders(s.pool/2, s.gone)
	if err != nil {
		return sample{}, err
	}
	profiled := s.profiled(ctx, s.node.operators, s.label+"-refusal", s.period/2)
	refused, err := ask(target{s.node.server, s.node.buyers, scaleConns, http.StatusConflict}, s.period/2, buyers.again())
	return refused, errors.Join(err, profiled())
}

// order lets so many buyers order.
func (s *selling) order(ctx context.Context, rep int) (sample, error) {
	buyers, err := s.crowd.orders(min(shelfSales*shelfOrders, s.pool), s.forSale(rep))
	if err != nil {
		return sample{}, err
	}
	profiled := s.profiled(ctx, s.node.operators, s.label+"-order", time.Second)
	sold, err := ask(target{s.node.server, s.node.buyers, scaleConns, http.StatusCreated}, time.Minute, buyers.once())
	return sold, errors.Join(err, profiled())
}

// withGone adds a SKU that has no units.
func withGone(s sale) sale {
	gone := openSale("", 1, 0).Items[0]
	gone.SKU = "gone"
	s.Items = append(s.Items, gone)
	return s
}

func (b *bench) withSales(ctx context.Context, size int64) (world, error) {
	number := int(size)
	var sales []sale
	for i := range number {
		sales = append(sales, withGone(openSale(name(i), 1, plenty)))
	}
	n, err := b.startNode(ctx, "", sales...)
	return &selling{
		bench: b, label: fmt.Sprintf("sales-%d", size), node: n, gone: func(i int) (string, string) { return name(i % number), "gone" },
		forSale: func(int) place { return func(i int) (string, string) { return name(i % number), "sku-0" } },
	}, err
}

func (b *bench) withSKUs(ctx context.Context, size int64) (world, error) {
	number := int(size)
	n, err := b.startNode(ctx, "", withGone(openSale("drop", number, plenty)))
	return &selling{
		bench: b, label: fmt.Sprintf("skus-%d", size), node: n, gone: of("drop", "gone"),
		forSale: func(int) place {
			return func(i int) (string, string) { return "drop", fmt.Sprintf("sku-%d", i%number) }
		},
	}, err
}

// withStock sells each repetition's orders from sales of their own, so that a
// small stock does not end.
func (b *bench) withStock(ctx context.Context, units int64) (world, error) {
	var sales []sale
	for i := range (b.shortReps() + 1) * shelfSales {
		sales = append(sales, withGone(openSale(name(i), 1, units)))
	}
	n, err := b.startNode(ctx, "", sales...)
	return &selling{
		bench: b, label: fmt.Sprintf("stock-%d", units), node: n, gone: of(name(0), "gone"),
		forSale: func(rep int) place {
			return func(i int) (string, string) { return name(rep*shelfSales + i/shelfOrders%shelfSales), "sku-0" }
		},
	}, err
}

func (b *bench) withBuyers(ctx context.Context, size int64) (world, error) {
	label := fmt.Sprintf("buyers-%d", size)
	if size == b.seen {
		n, err := b.busy(ctx)
		return b.drop(label, n), err
	}
	n, err := b.startNode(ctx, "", withGone(openSale("drop", 1, 10*plenty)))
	if err != nil {
		return nil, err
	}
	return b.drop(label, n), b.show(n, size)
}

// drop is a node with one sale.
func (b *bench) drop(label string, n *node) *selling {
	return &selling{
		bench: b, label: label, node: n, gone: of("drop", "gone"),
		forSale: func(int) place { return of("drop", "sku-0") },
	}
}

func name(i int) string { return fmt.Sprintf("sale-%d", i) }

// aged is a node over a ledger that holds orders from before.
type aged struct{ *selling }

func (b *bench) withOrders(ctx context.Context, size int64) (world, error) {
	label := fmt.Sprintf("ledger-%d", size)
	folder := filepath.Join(b.dir, label)
	if size > 0 {
		begun := time.Now()
		if err := fill(ctx, folder, int(size)); err != nil {
			return nil, err
		}
		b.say("a ledger of %s orders filled in %s", count(size), time.Since(begun).Round(time.Second/10))
	}
	n, err := b.startNode(ctx, folder, withGone(openSale("drop", 1, 10*plenty)))
	if err != nil {
		return nil, err
	}
	return &aged{b.drop(label, n)}, n.calm(ctx)
}

// measure implements world: beside the CPU, the p99 of orders that come one by
// one, in milliseconds, and the memory.
func (a *aged) measure(ctx context.Context, rep int) ([]float64, error) {
	costs, err := a.selling.measure(ctx, rep)
	if err != nil {
		return nil, err
	}
	histogram, err := (&shop{bench: a.bench, node: a.node}).trickle(calmOrders, 2*a.period)
	if err != nil {
		return nil, err
	}
	resident, err := a.node.resident()
	return append(costs, float64(histogram.ValueAtQuantile(99))/1000, float64(resident)/megabyte), err
}

// several are nodes over the same stores.
type several struct{ *fleet }

func (b *bench) withNodes(ctx context.Context, size int64) (world, error) {
	f, err := b.startFleet(ctx, int(size), false, openSale("drop", 1, 10*plenty))
	return &several{f}, err
}

// measure implements world: what an order of a rush costs the nodes and each
// store.
func (s *several) measure(ctx context.Context, _ int) ([]float64, error) {
	sold, err := s.sell(ctx, rush{s.period, guess, crowdConns})
	return []float64{sold.cpu[nodes], sold.cpu[postgres], sold.cpu[redis]}, err
}

// end implements world.
func (s *several) end() error {
	s.fleet.end()
	return nil
}
