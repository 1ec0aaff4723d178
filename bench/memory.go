package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // holds the ledger still, as a foreign program would

	"github.com/doorbuster/doorbuster/bench/load"
)

const (
	megabyte = 1e6
	// inFlight orders wait for the ledger at once, in E6.
	inFlight, flightConns = 50_000, 64
	// heldFor is how long the ledger waits for a foreign program's lock.
	heldFor = 5 * time.Second
)

// memory is E6.
func (b *bench) memory(ctx context.Context) ([]line, error) {
	idle := line{what: "memory of an idle node", goal: atMost(60, "MB"), figure: "RSS"}
	for range b.reps {
		n, err := b.startNode(ctx, "", openSale("drop", 8, plenty))
		if err != nil {
			return nil, err
		}
		resident, err := n.resident()
		if err := errors.Join(err, n.end()); err != nil {
			return nil, err
		}
		idle.value = append(idle.value, float64(resident)/megabyte)
	}
	flight, err := b.flight(ctx)
	if err != nil {
		return []line{idle}, err
	}
	seen, err := b.seen10M(ctx)
	return []line{idle, seen, flight}, err
}

// seen10M is the memory of a node that has met everybody.
func (b *bench) seen10M(ctx context.Context) (line, error) {
	l := line{what: fmt.Sprintf("memory with %s addresses and buyers seen", count(b.seen)), goal: atMost(400, "MB")}
	n, err := b.busy(ctx)
	if err != nil {
		return l, err
	}
	resident, err := n.resident()
	if err != nil {
		return l, err
	}
	l.value = spread{float64(resident) / megabyte}
	l.figure = "RSS; each buyer with a valid token and an address of its own"
	return l, nil
}

// busy returns the node that has seen everybody, which E6 and E8 share.
func (b *bench) busy(ctx context.Context) (*node, error) {
	if b.crowded != nil {
		return b.crowded, nil
	}
	n, err := b.startNode(ctx, "", withGone(openSale("drop", 1, 10*plenty)))
	if err != nil {
		return nil, err
	}
	b.crowded = n
	return n, b.show(n, b.seen)
}

// show lets the node see so many buyers, each once, all the way to the limit
// of the buyer: only the missing content type ends them.
func (b *bench) show(n *node, buyers int64) error {
	begun := time.Now()
	begin := b.crowd.next + 1
	b.crowd.next += uint64(buyers)
	result, err := load.Flood(n.buyers, 64, 32, func(i int64, room []byte) ([]byte, bool) {
		if i >= buyers {
			return nil, false
		}
		who, err := b.crowd.at(begin + uint64(i))
		if err != nil {
			return nil, false
		}
		return fmt.Appendf(room, "POST /api/v1/sales/drop/orders HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer %s\r\n"+
			"X-Forwarded-For: %d.%d.%d.%d\r\nContent-Length: 0\r\n\r\n", who.token, who.address[0], who.address[1], who.address[2], who.address[3]), true
	})
	if err != nil {
		return err
	}
	b.say("%s buyers seen in %s", count(buyers), time.Since(begun).Round(time.Second/10))
	return check(result, http.StatusUnsupportedMediaType)
}

// flight is what an order costs from its ticket to its decision: the ledger is
// kept from deciding, and the live heap compared.
func (b *bench) flight(ctx context.Context) (line, error) {
	l := line{what: "memory of an order in flight", goal: atMost(1000, "B")}
	n, err := b.startNode(ctx, "", openSale("drop", 1, plenty))
	if err != nil {
		return l, err
	}
	defer func() { _ = n.end() }() // its figures are known
	orders, err := b.crowd.orders(min(inFlight, b.pool), of("drop", "sku-0"))
	if err != nil {
		return l, err
	}
	hurried := &requests{}
	for i := range orders.len() {
		hurried.add(withHeader(orders.at(i), "Prefer: respond-async"))
	}
	// The connections' own buffers are there before, too.
	first, err := b.crowd.orders(1000, of("drop", "sku-0"))
	if err != nil {
		return l, err
	}
	if _, err := load.Closed(n.buyers, flightConns, time.Minute, first.once()); err != nil {
		return l, err
	}
	before, err := n.live(ctx)
	if err != nil {
		return l, err
	}
	waiting, after, err := n.held(ctx, hurried)
	if err != nil {
		return l, err
	}
	l.value = spread{(after - before) / waiting}
	l.figure = fmt.Sprintf("live heap, with %.0f orders that wait for the ledger", waiting)
	return l, nil
}

// held sends orders while the ledger cannot write, and returns how many wait
// and the heap with them.
func (n *node) held(ctx context.Context, orders *requests) (waiting, heap float64, err error) {
	db, err := sql.Open("sqlite", filepath.Join(n.data, "ledger.db"))
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, 0, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return 0, 0, err
	}
	defer func() {
		_, undone := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		err = errors.Join(err, undone, conn.Close())
	}()
	result, err := load.Closed(n.buyers, flightConns, heldFor*4/5, orders.once())
	if err != nil {
		return 0, 0, err
	}
	if waiting = float64(result.Status[http.StatusAccepted]); waiting == 0 {
		return 0, 0, fmt.Errorf("no order waits: %v", result.Status)
	}
	heap, err = n.live(ctx)
	return waiting, heap, err
}

// live is the heap that is in use, in bytes.
func (n *node) live(ctx context.Context) (float64, error) {
	if _, err := n.fetch(ctx, n.operators, "/debug/pprof/heap?gc=1"); err != nil {
		return 0, err
	}
	return n.metric(ctx, "go_memstats_heap_alloc_bytes")
}

// count writes a large number as people say it.
func count(n int64) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return strconv.FormatInt(n/1_000_000, 10) + " M"
	case n >= 1000 && n%1000 == 0:
		return strconv.FormatInt(n/1000, 10) + " k"
	}
	return strconv.FormatInt(n, 10)
}
