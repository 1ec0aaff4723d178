package main

import (
	"context"
	"errors"
	"fmt"
)

// dimension is something that grows, and what is measured meanwhile.
type dimension struct {
	id    string // as make scale calls it
	axis  string // what its sizes count
	title string
	sizes []int64 // least first
	costs []cost
	reps  int // beside one that warms up
	open  func(ctx context.Context, size int64) (world, error)
}

// cost is what a world measures.
type cost struct {
	What string `json:"what"`
	Unit string `json:"unit"`
}

// world is a shop at one size of a dimension.
type world interface {
	// measure returns a figure of each of the dimension's costs. Repetitions
	// count from 0.
	measure(ctx context.Context, rep int) ([]float64, error)
	end() error
}

// dimensions are all that should not make a sale dearer.
func (b *bench) dimensions() []dimension {
	return append(b.sold(), []dimension{
		{
			id: "ledger", axis: "orders in the ledger before", title: "How cost grows with the orders in the ledger",
			sizes: append([]int64{0}, decades(100_000, b.books)...), reps: b.reps, open: b.withOrders,
			costs: append(perAnswer(), cost{fmt.Sprintf("p99 of an order, %d/s arrive", calmOrders), "ms"}, cost{"Memory of the node", "MB"}),
		},
		{
			id: "pages", axis: "open pages, each with a connection held", title: "How cost grows with open pages",
			sizes: decades(10, b.pages), reps: b.reps, open: b.withPages,
			costs: []cost{
				{fmt.Sprintf("CPU per poll, %s/s of all pages", count(pollPace)), "µs"},
				{"Memory of the node", "MB"},
				{"Asks of the node behind one cache", "/s"},
			},
		},
		{
			id: "nodes", axis: "nodes", title: "How cost grows with nodes over the same stores",
			sizes: []int64{1, 2, 3}, reps: b.reps, open: b.withNodes,
			costs: []cost{{"CPU of nodes per order", "µs"}, {"CPU of PostgreSQL per order", "µs"}, {"CPU of Redis per order", "µs"}},
		},
	}...)
}

// sold are the dimensions of what one node sells, and to how many: E8's.
func (b *bench) sold() []dimension {
	return []dimension{
		{
			id: "sales", axis: "sales", title: "How cost grows with the sales of a node",
			sizes: decades(1, b.many), costs: perAnswer(), reps: b.shortReps(), open: b.withSales,
		},
		{
			id: "skus", axis: "SKUs", title: "How cost grows with the SKUs of a sale",
			sizes: decades(1, b.many), costs: perAnswer(), reps: b.shortReps(), open: b.withSKUs,
		},
		{
			id: "stock", axis: "stock", title: "How cost grows with the units of an SKU",
			sizes: decades(1000, plenty), costs: perAnswer(), reps: b.shortReps(), open: b.withStock,
		},
		{
			id: "buyers", axis: "buyers seen", title: "How cost grows with the buyers that a node has seen",
			sizes: decades(min(10_000, b.seen), b.seen), costs: perAnswer(), reps: b.shortReps(), open: b.withBuyers,
		},
	}
}

// shortReps are the repetitions of what takes a second: one of them alone says
// little.
func (b *bench) shortReps() int { return 3*b.reps - 2 }

func perAnswer() []cost { return []cost{{"CPU per refusal", "µs"}, {"CPU per order", "µs"}} }

// decades are the sizes from least to most, each ten times the one before.
func decades(least, most int64) []int64 {
	var sizes []int64
	for size := least; size < most; size *= 10 {
		sizes = append(sizes, size)
	}
	return append(sizes, most)
}

// ends leaves out what lies between the least and the largest size.
func (d dimension) ends() dimension {
	d.sizes = []int64{d.sizes[0], d.sizes[len(d.sizes)-1]}
	return d
}

// grow opens a world of each size and measures them in turn: what slows the
// machine slows them all. It returns each cost at each size.
func (b *bench) grow(ctx context.Context, d dimension) (_ [][]spread, err error) {
	var worlds []world
	defer func() {
		for _, w := range worlds {
			err = errors.Join(err, w.end())
		}
	}()
	for _, size := range d.sizes {
		w, err := d.open(ctx, size)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", count(size), d.axis, err)
		}
		worlds = append(worlds, w)
	}
	grown := make([][]spread, len(d.costs))
	for i := range grown {
		grown[i] = make([]spread, len(d.sizes))
	}
	for rep := range d.reps + 1 {
		for at, w := range worlds {
			found, err := w.measure(ctx, rep)
			if err = errors.Join(err, ctx.Err()); err != nil {
				return nil, fmt.Errorf("%s %s: %w", count(d.sizes[at]), d.axis, err)
			}
			for i := range found {
				if rep > 0 { // the first one warms up
					grown[i][at] = append(grown[i][at], found[i])
				}
			}
		}
	}
	return grown, nil
}
