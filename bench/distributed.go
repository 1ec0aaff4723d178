package main

import (
	"context"
	"fmt"
	"net/http"
)

// bestPeer is what the fastest shop of this kind sells a second on two cores,
// and loses on kill -9: Seckill_Yue, measured when the goals were set.
const bestPeer = 2167

// crowdConns are the buyers of a rush, for whom one node is compared with two.
// With so many as orderConns, two nodes share out what one decides together,
// and each batch costs; in a rush there is always a next one.
const crowdConns = 1024

// town is a repetition of D3: a node over its stores, a second one beside it,
// and an nginx that refuses.
type town struct {
	limit          sample
	one            order // of few buyers
	alone, between order // of a crowd: at one node, at two
	split          order // of few buyers at two nodes
}

// distributed is D3: 201 only after PostgreSQL's commit, every request another
// buyer, everything on this machine. Each repetition has new stores.
func (b *bench) distributed(ctx context.Context) ([]line, error) {
	var limit []sample
	var one, alone, between, split, brokered []order
	for range b.reps {
		t, err := b.oneTown(ctx)
		if err != nil {
			return nil, err
		}
		limit, one, split = append(limit, t.limit), append(one, t.one), append(split, t.split)
		alone, between = append(alone, t.alone), append(between, t.between)
	}
	for range b.reps {
		through, err := b.throughBroker(ctx)
		if err != nil {
			return nil, err
		}
		brokered = append(brokered, through)
	}
	orders, refusals := paces(one), rates(limit)
	peer := make(spread, len(orders))
	for i := range orders {
		peer[i] = orders[i] / bestPeer
	}
	what := fmt.Sprintf("201 after PostgreSQL's commit, %d connections", orderConns)
	return []line{
		{
			what: what + ": orders/s ÷ nginx", goal: atLeast(0.10), value: ratio(orders, refusals),
			figure: fmt.Sprintf("%s/s; nginx %s/s; %s", orders, refusals, shares(one)),
		},
		{what: what + fmt.Sprintf(": orders/s ÷ best peer's %d", bestPeer), goal: atLeast(5), value: peer},
		{
			what: fmt.Sprintf("%d connections at two nodes ÷ at one: CPU of nodes an order", crowdConns), goal: atMost(1.1, "×"),
			value:  ratio(costs(between, nodes), costs(alone, nodes)),
			figure: fmt.Sprintf("one %s/s; %s; two %s/s; %s", paces(alone), shares(alone), paces(between), shares(between)),
		},
		{
			what: "the same: CPU of nodes and stores", goal: noGoal("×"), value: ratio(costs(between, ""), costs(alone, "")),
			figure: fmt.Sprintf("%s → %s µs", costs(alone, ""), costs(between, "")),
		},
		{
			what: fmt.Sprintf("%d connections at two nodes ÷ at one: CPU of nodes an order", orderConns), goal: noGoal("×"),
			value: ratio(costs(split, nodes), costs(one, nodes)), figure: fmt.Sprintf("two %s/s; %s", paces(split), shares(split)),
		},
		{
			what: "one node, tickets through RabbitMQ", goal: noGoal("/s"), value: paces(brokered), figure: shares(brokered),
		},
	}, nil
}

// oneTown measures one repetition: first with one node, then with two.
func (b *bench) oneTown(ctx context.Context) (t town, err error) {
	f, err := b.startFleet(ctx, 2, false, openSale("drop", 1, 10*plenty))
	defer f.end()
	if err != nil {
		return t, err
	}
	if err := f.Nodes[1].Stop(); err != nil {
		return t, err
	}
	warm, err := f.sell(ctx, rush{b.period / 2, guess, orderConns})
	if err != nil {
		return t, err
	}
	if t.limit, err = b.limitOf(ctx, f); err != nil {
		return t, err
	}
	pace := 1.5 * warm.perSecond
	if t.one, err = f.sell(ctx, rush{b.period, pace, orderConns}); err != nil {
		return t, err
	}
	if t.alone, err = f.sell(ctx, rush{b.period, pace, crowdConns}); err != nil {
		return t, err
	}
	if err := f.Nodes[1].Start(); err != nil {
		return t, err
	}
	if err := f.Nodes[1].Ready(ctx); err != nil {
		return t, err
	}
	if _, err := f.sell(ctx, rush{b.period / 2, pace, crowdConns}); err != nil {
		return t, err
	}
	if t.between, err = f.sell(ctx, rush{b.period, pace, crowdConns}); err != nil {
		return t, err
	}
	t.split, err = f.sell(ctx, rush{b.period, pace, orderConns})
	return t, err
}

// limitOf measures an nginx that refuses with as much as an order's answer.
func (b *bench) limitOf(ctx context.Context, f *fleet) (sample, error) {
	crowd, err := b.crowd.orders(b.pool, of("drop", "sku-0"))
	if err != nil {
		return sample{}, err
	}
	status, body, err := askOnce(f.Nodes[0].Buyers, crowd.at(0))
	if err != nil {
		return sample{}, err
	}
	if status != http.StatusCreated {
		return sample{}, fmt.Errorf("the node answers %d %s, want %d", status, body, http.StatusCreated)
	}
	y, err := b.startNginx(ctx, likeness(len(body)), nil)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = y.end() }() // its figures are known
	return ask(target{y.server, y.address, orderConns, http.StatusTooManyRequests}, b.period, crowd.again())
}

// throughBroker measures one node whose tickets go through RabbitMQ.
func (b *bench) throughBroker(ctx context.Context) (order, error) {
	f, err := b.startFleet(ctx, 1, true, openSale("drop", 1, 10*plenty))
	defer f.end()
	if err != nil {
		return order{}, err
	}
	warm, err := f.sell(ctx, rush{b.period / 2, guess, orderConns})
	if err != nil {
		return order{}, err
	}
	return f.sell(ctx, rush{b.period, 1.5 * warm.perSecond, orderConns})
}

func paces(orders []order) spread {
	var s spread
	for i := range orders {
		s = append(s, orders[i].perSecond)
	}
	return s
}

// costs are the CPU of one kind of process; of all of them where it is empty.
func costs(orders []order, kind string) spread {
	var s spread
	for i := range orders {
		if kind == "" {
			s = append(s, orders[i].sum())
		} else {
			s = append(s, orders[i].cpu[kind])
		}
	}
	return s
}
