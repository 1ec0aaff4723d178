package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/doorbuster/doorbuster/bench/load"
)

const (
	// orderConns is how many buyers wait for an order at once, in E3 and E4.
	orderConns = 256
	// guess is a pace that is surely above the first one measured.
	guess = 20_000
)

// shop is a node that sells, and an nginx that refuses, for E3 and E4.
type shop struct {
	*bench
	node  *node
	nginx *yardstick
}

func (b *bench) openShop(ctx context.Context) (*shop, error) {
	n, err := b.startNode(ctx, "", openSale("drop", 1, 10*plenty))
	if err != nil {
		return nil, err
	}
	first, err := b.crowd.orders(1, of("drop", "sku-0"))
	if err != nil {
		return nil, err
	}
	y, err := b.refusalLike(ctx, n, first.at(0), http.StatusCreated)
	return &shop{bench: b, node: n, nginx: y}, err
}

func (s *shop) close() {
	_ = s.node.end() // their figures are known
	_ = s.nginx.end()
}

// sell lets new buyers order for a period, as fast as they are answered. pace
// is how many a second may come at most.
func (s *shop) sell(ctx context.Context, period time.Duration, pace float64) (sample, error) {
	buyers, err := s.crowd.orders(int(pace*period.Seconds())+orderConns, of("drop", "sku-0"))
	if err != nil {
		return sample{}, err
	}
	profiled := s.profiled(ctx, s.node.operators, "alone", period)
	sold, err := ask(target{s.node.server, s.node.buyers, orderConns, http.StatusCreated}, period, buyers.once())
	return sold, errors.Join(err, profiled())
}

// measure returns orders and nginx's refusals side by side, once.
func (s *shop) measure(ctx context.Context) (pair, error) {
	var p pair
	warm, err := s.sell(ctx, s.period/2, guess)
	if err != nil {
		return p, err
	}
	crowd, err := s.crowd.orders(s.pool, of("drop", "sku-0"))
	if err != nil {
		return p, err
	}
	limit, err := ask(target{s.nginx.server, s.nginx.address, orderConns, http.StatusTooManyRequests}, s.period, crowd.again())
	if err != nil {
		return p, err
	}
	product, err := s.sell(ctx, s.period, 1.5*warm.perSecond)
	if err != nil {
		return p, err
	}
	p.limit, p.product = append(p.limit, limit), append(p.product, product)
	return p, nil
}

// orders is E3: 201 only after the ledger's commit, every request another
// buyer. Each repetition has a new folder: an order costs more in a ledger
// that holds many, which is another question (E8).
func (b *bench) orders(ctx context.Context) ([]line, error) {
	var p pair
	for range b.reps {
		one, err := b.oneSale(ctx)
		if err != nil {
			return nil, err
		}
		p.limit, p.product = append(p.limit, one.limit...), append(p.product, one.product...)
	}
	b.pace = rates(p.product).median()
	l := p.rateLine(fmt.Sprintf("201 after the commit, %d connections", orderConns), 0.15)
	l.figure += fmt.Sprintf("; CPU %s µs an order", cpus(p.product))
	return []line{l}, nil
}

// oneSale measures one repetition in a shop of its own.
func (b *bench) oneSale(ctx context.Context) (pair, error) {
	s, err := b.openShop(ctx)
	if err != nil {
		return pair{}, err
	}
	defer s.close()
	return s.measure(ctx)
}

// waits is E4: orders come at half the pace of E3, whether or not the earlier
// ones are answered.
func (b *bench) waits(ctx context.Context) ([]line, error) {
	s, err := b.openShop(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if b.pace == 0 {
		p, err := s.measure(ctx)
		if err != nil {
			return nil, err
		}
		b.pace = rates(p.product).median()
	}
	rate := b.pace / 2
	lines := []line{
		{what: "order, open loop at half of E3: p50", goal: atMost(5, "ms")},
		{what: "p99", goal: atMost(25, "ms")},
		{what: "p99.9", goal: atMost(60, "ms")},
	}
	for range b.reps {
		histogram, err := s.trickle(rate, 2*s.period)
		if err != nil {
			return lines, err
		}
		for i, percentile := range []float64{50, 99, 99.9} {
			lines[i].value = append(lines[i].value, float64(histogram.ValueAtQuantile(percentile))/1000)
		}
	}
	lines[0].figure = fmt.Sprintf("%.0f orders/s arrive", rate)
	return lines, nil
}

// trickle lets orders arrive at a rate, for a time.
func (s *shop) trickle(rate float64, during time.Duration) (*hdrhistogram.Histogram, error) {
	buyers, err := s.crowd.orders(int(rate*during.Seconds())+1, of("drop", "sku-0"))
	if err != nil {
		return nil, err
	}
	result, histogram, err := load.Open(s.node.buyers, orderConns, rate, buyers.once())
	if err != nil {
		return nil, err
	}
	return histogram, check(result, http.StatusCreated)
}
