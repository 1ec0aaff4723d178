package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/doorbuster/doorbuster/bench/load"
)

// soldOut is E1: a sale of a thousand units is bought up, then everybody else
// comes.
func (b *bench) soldOut(ctx context.Context) ([]line, error) {
	const units = 1000
	n, err := b.startNode(ctx, "", openSale("gone", 1, units))
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.end() }() // its figures are known
	if err := b.buyUp(n.buyers, "gone", units); err != nil {
		return nil, err
	}
	crowd, err := b.crowd.orders(b.pool, of("gone", "sku-0"))
	if err != nil {
		return nil, err
	}
	y, err := b.refusalLike(ctx, n, crowd.at(0), http.StatusConflict)
	if err != nil {
		return nil, err
	}
	defer func() { _ = y.end() }()

	var lines []line
	for _, goals := range []struct {
		conns     int
		cpu, rate float64
	}{{64, 1.4, 0.70}, {512, 1.7, 0.60}} {
		p, err := b.compare(
			target{n.server, n.buyers, goals.conns, http.StatusConflict},
			target{y.server, y.address, goals.conns, http.StatusTooManyRequests},
			func() (load.Source, error) { return crowd.again(), nil },
		)
		if err != nil {
			return lines, err
		}
		what := fmt.Sprintf("sold-out answer to a full POST, %d connections", goals.conns)
		lines = append(lines, p.cpuLine(what, goals.cpu), p.rateLine(what, goals.rate))
	}
	second, err := b.wrk(ctx, crowd.at(0), n.buyers, y.address)
	lines[1].figure += second
	return lines, err
}

// buyUp buys every unit of sku-0, and returns when the door says sold out.
func (b *bench) buyUp(door, sale string, units int) error {
	for range 20 {
		buyers, err := b.crowd.orders(units, of(sale, "sku-0"))
		if err != nil {
			return err
		}
		if _, err := load.Closed(door, 64, time.Minute, buyers.once()); err != nil {
			return err
		}
		late, err := b.crowd.orders(1, of(sale, "sku-0"))
		if err != nil {
			return err
		}
		status, _, err := askOnce(door, late.at(0))
		if err != nil || status == http.StatusConflict {
			return err
		}
		time.Sleep(50 * time.Millisecond) // the board is looked over meanwhile
	}
	return fmt.Errorf("%s is not sold out", sale)
}

// refusalLike starts an nginx that refuses with a body as long as the one that
// the node answers the request with.
func (b *bench) refusalLike(ctx context.Context, n *node, request []byte, want int) (*yardstick, error) {
	status, body, err := askOnce(n.buyers, request)
	if err != nil {
		return nil, err
	}
	if status != want {
		return nil, fmt.Errorf("the node answers %d %s, want %d", status, body, want)
	}
	return b.startNginx(ctx, likeness(len(body)), nil)
}

// likeness is a JSON object of that size.
func likeness(size int) []byte {
	const frame = `{"detail":""}`
	body := []byte(`{"detail":"`)
	for range max(0, size-len(frame)) {
		body = append(body, 'x')
	}
	return append(body, `"}`...)
}

// askOnce sends one request over a connection of its own.
func askOnce(address string, request []byte) (int, []byte, error) {
	c, err := load.Dial(address)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = c.Close() }() // nothing to lose
	return c.Ask(request)
}

// refused is E2: an address that asks too often, and tokens that somebody made
// up, at a sale that has units.
func (b *bench) refused(ctx context.Context) ([]line, error) {
	n, err := b.startNode(ctx, "", openSale("rush", 1, plenty))
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.end() }()

	var lines []line
	for _, kind := range []struct {
		what   string
		before int // requests that pass first
		want   int
		bound  float64
		spoil  func(*buyer)
	}{
		// One address for all: its burst passes, then 50 a second of many thousands.
		{"refused by the limit of its address", 200, http.StatusTooManyRequests, 1.6, func(who *buyer) { who.address = [4]byte{192, 0, 2, 1} }},
		{"refused for a token with a wrong signature", 0, http.StatusUnauthorized, 1.7, func(who *buyer) { who.token = forge(who.token) }},
	} {
		crowd, err := b.spoiled(kind.spoil)
		if err != nil {
			return lines, err
		}
		for range kind.before {
			if _, _, err := askOnce(n.buyers, crowd.at(0)); err != nil {
				return lines, err
			}
		}
		y, err := b.refusalLike(ctx, n, crowd.at(0), kind.want)
		if err != nil {
			return lines, err
		}
		p, err := b.compare(
			target{n.server, n.buyers, 64, kind.want},
			target{y.server, y.address, 64, http.StatusTooManyRequests},
			func() (load.Source, error) { return crowd.again(), nil },
		)
		if err != nil {
			return lines, err
		}
		lines = append(lines, p.cpuLine(kind.what, kind.bound))
		if err := y.end(); err != nil {
			return lines, err
		}
	}
	return lines, nil
}

// spoiled writes a pool of orders whose buyers have something wrong.
func (b *bench) spoiled(spoil func(*buyer)) (*requests, error) {
	r := &requests{}
	var room []byte
	for range b.pool {
		who, err := b.crowd.buyer()
		if err != nil {
			return nil, err
		}
		spoil(&who)
		room = appendOrder(room[:0], &who, "rush", "sku-0")
		r.add(room)
	}
	return r, nil
}

// forge changes the signature and keeps its form.
func forge(token string) string {
	at := len(token) - 20
	other := byte('A')
	if token[at] == other {
		other = 'B'
	}
	return token[:at] + string(other) + token[at+1:]
}
