package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/doorbuster/doorbuster/bench/load"
)

// audience is open pages at one node.
type audience struct {
	*bench
	node *node
	size int
}

// pollPace is how often all open pages together ask in a second, however many
// they are: as often as ten thousand do.
const pollPace = 10_000

func (b *bench) withPages(ctx context.Context, size int64) (world, error) {
	n, err := b.startNode(ctx, "", openSale("drop", 8, plenty))
	return &audience{b, n, int(size)}, err
}

func (a *audience) end() error { return a.node.end() }

// measure implements world: the CPU of a poll and the memory of the node while
// all pages hold their connections, and how often they ask it through a cache.
func (a *audience) measure(ctx context.Context, _ int) ([]float64, error) {
	lines, err := load.Connect(a.node.buyers, a.size)
	if err != nil {
		return nil, err
	}
	defer lines.Close()
	polls := a.gets(statePath)
	if _, err := a.poll(lines, polls, a.size); err != nil { // as the page opens
		return nil, err
	}
	profiled := a.profiled(ctx, a.node.operators, fmt.Sprintf("pages-%d", a.size), 3*a.period)
	cpu, err := a.poll(lines, polls, int(3*pollPace*a.period.Seconds()))
	if err := errors.Join(err, profiled()); err != nil {
		return nil, err
	}
	resident, err := a.node.resident()
	if err != nil {
		return nil, err
	}
	asks, err := a.asks(ctx)
	return []float64{cpu, float64(resident) / megabyte, asks}, err
}

const statePath = "/s/drop/state.json"

// poll sends so many polls over the connections, and returns what one cost.
func (a *audience) poll(lines load.Lines, polls *requests, number int) (float64, error) {
	before, err := a.node.cpu()
	if err != nil {
		return 0, err
	}
	result, _, err := lines.Open(pollPace, polls.times(int64(number)))
	if err != nil {
		return 0, err
	}
	after, err := a.node.cpu()
	if err != nil {
		return 0, err
	}
	return float64((after - before).Microseconds()) / float64(number), check(result, http.StatusOK)
}

// asks lets the pages poll through a cache, and returns how often the node was
// asked in a second.
func (a *audience) asks(ctx context.Context) (float64, error) {
	during := 2*a.period + cached // within the first second the pages open
	ctx, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	shared := &cache{door: a.node.buyers, path: statePath}
	closed := make(chan error, a.size)
	for range a.size {
		go func() { closed <- shared.page(ctx) }()
	}
	for range a.size {
		if err := <-closed; !errors.Is(err, context.DeadlineExceeded) {
			return 0, errors.Join(err, errors.New("a page stopped polling"))
		}
	}
	return float64(shared.asked) / during.Seconds(), nil
}
