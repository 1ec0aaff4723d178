package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// scaleConns drive each node of E8.
	scaleConns = 64
	// shelfSales of a thousand units each are as many orders as a measurement
	// wants; the last fifth of a stock comes in small chunks and is left.
	shelfSales, shelfOrders = 10, 800
)

// place names the sale and SKU of the nth request.
type place func(n int) (sale, sku string)

// world is a node at one end of a dimension.
type world struct {
	node    *node
	gone    place
	forSale func(rep int) place
}

// dimension is what grows.
type dimension struct {
	name         string
	small, large func(ctx context.Context) (*world, error)
}

// scale is E8: what a refusal and an order cost when something grows
// thousandfold.
func (b *bench) scale(ctx context.Context) ([]line, error) {
	var lines []line
	for _, d := range b.dimensions() {
		measured, err := b.grow(ctx, d)
		if err != nil {
			return lines, fmt.Errorf("%s: %w", d.name, err)
		}
		lines = append(lines, measured...)
	}
	return lines, nil
}

func (b *bench) dimensions() []dimension {
	return []dimension{
		{fmt.Sprintf("sales 1 → %s", count(int64(b.many))), b.withSales(1), b.withSales(b.many)},
		{fmt.Sprintf("SKUs 1 → %s", count(int64(b.many))), b.withSKUs(1), b.withSKUs(b.many)},
		{"stock 1 k → 10 M", b.withStock(1000), b.withStock(plenty)},
		{"buyers seen 10 k → " + count(b.seen), b.withBuyers, b.withEverybody},
	}
}

// grow measures both ends in turn.
func (b *bench) grow(ctx context.Context, d dimension) (_ []line, err error) {
	var ends [2]*world
	for i, start := range []func(context.Context) (*world, error){d.small, d.large} {
		w, err := start(ctx)
		if err != nil {
			return nil, err
		}
		if w.node != b.crowded {
			defer func() { err = errors.Join(err, w.node.end()) }()
		}
		ends[i] = w
	}
	var refusals, orders [2]spread
	for rep := range b.reps + 1 {
		for i, w := range ends {
			refusal, err := b.refuse(w)
			if err != nil {
				return nil, err
			}
			order, err := b.order(w, rep)
			if err != nil {
				return nil, err
			}
			if rep > 0 { // the first one warms up
				refusals[i], orders[i] = append(refusals[i], refusal.cpu), append(orders[i], order.cpu)
			}
		}
	}
	tell := func(what string, ends [2]spread) line {
		return line{
			what: "CPU per " + what + ", " + d.name, goal: atMost(1.2, "×"), value: ratio(ends[1], ends[0]),
			figure: fmt.Sprintf("%s → %s µs", ends[0], ends[1]),
		}
	}
	return []line{tell("refusal", refusals), tell("order", orders)}, nil
}

// refuse lets buyers ask for what is sold out.
func (b *bench) refuse(w *world) (sample, error) {
	crowd, err := b.crowd.orders(b.pool/2, w.gone)
	if err != nil {
		return sample{}, err
	}
	return ask(target{w.node.server, w.node.buyers, scaleConns, http.StatusConflict}, b.period/2, crowd.again())
}

// order lets so many buyers order.
func (b *bench) order(w *world, rep int) (sample, error) {
	crowd, err := b.crowd.orders(min(shelfSales*shelfOrders, b.pool), w.forSale(rep))
	if err != nil {
		return sample{}, err
	}
	return ask(target{w.node.server, w.node.buyers, scaleConns, http.StatusCreated}, time.Minute, crowd.once())
}

// withGone adds a SKU that has no units.
func withGone(s sale) sale {
	gone := openSale("", 1, 0).Items[0]
	gone.SKU = "gone"
	s.Items = append(s.Items, gone)
	return s
}

func (b *bench) withSales(number int) func(context.Context) (*world, error) {
	return func(ctx context.Context) (*world, error) {
		var sales []sale
		for i := range number {
			sales = append(sales, withGone(openSale(name(i), 1, plenty)))
		}
		n, err := b.startNode(ctx, "", sales...)
		return &world{
			node: n, gone: func(i int) (string, string) { return name(i % number), "gone" },
			forSale: func(int) place { return func(i int) (string, string) { return name(i % number), "sku-0" } },
		}, err
	}
}

func (b *bench) withSKUs(number int) func(context.Context) (*world, error) {
	return func(ctx context.Context) (*world, error) {
		n, err := b.startNode(ctx, "", withGone(openSale("drop", number, plenty)))
		return &world{
			node: n, gone: of("drop", "gone"),
			forSale: func(int) place {
				return func(i int) (string, string) { return "drop", fmt.Sprintf("sku-%d", i%number) }
			},
		}, err
	}
}

// withStock sells each repetition's orders from sales of their own, so that a
// small stock does not end.
func (b *bench) withStock(units int64) func(context.Context) (*world, error) {
	return func(ctx context.Context) (*world, error) {
		var sales []sale
		for i := range (b.reps + 1) * shelfSales {
			sales = append(sales, withGone(openSale(name(i), 1, units)))
		}
		n, err := b.startNode(ctx, "", sales...)
		return &world{
			node: n, gone: of(name(0), "gone"),
			forSale: func(rep int) place {
				return func(i int) (string, string) { return name(rep*shelfSales + i/shelfOrders%shelfSales), "sku-0" }
			},
		}, err
	}
}

func (b *bench) withBuyers(ctx context.Context) (*world, error) {
	n, err := b.startNode(ctx, "", withGone(openSale("drop", 1, 10*plenty)))
	if err != nil {
		return nil, err
	}
	return drop(n), b.show(n, min(10_000, b.seen))
}

func (b *bench) withEverybody(ctx context.Context) (*world, error) {
	n, err := b.busy(ctx)
	return drop(n), err
}

func drop(n *node) *world {
	return &world{node: n, gone: of("drop", "gone"), forSale: func(int) place { return of("drop", "sku-0") }}
}

func name(i int) string { return fmt.Sprintf("sale-%d", i) }
