package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/bench/load"
	"github.com/doorbuster/doorbuster/internal/gate"
)

const (
	// lookRest is between two looks at a node, in D6.
	lookRest = 2 * time.Millisecond
	// lookMax is after how long nobody looks any more.
	lookMax = 30 * time.Second
	// pageFresh, pageSpread and pageLeast are how an open page polls: fresh, spread
	// and least of web/buyer/poll.js.
	pageFresh, pageSpread, pageLeast = 1000 * time.Millisecond, 200 * time.Millisecond, 200 * time.Millisecond
	// pagesOpen look on while the last unit goes.
	pagesOpen = 100
	// cached is for how long a cache may keep state.json: max-age=1.
	cached = time.Second
)

// sellout is what became known when, after the 201 of a sale's last unit.
type sellout struct {
	posts, states, pages spread // seconds, of each node and page
}

// word is D6: three nodes, of which one sells the last unit, again and again.
func (b *bench) word(ctx context.Context) ([]line, error) {
	const units = 4
	var sales []sale
	for i := range b.sellouts {
		sales = append(sales, openSale(name(i), 1, units))
	}
	f, err := b.startFleet(ctx, 3, false, sales...)
	defer f.end()
	if err != nil {
		return nil, err
	}
	var all sellout
	for i := range b.sellouts {
		one, err := f.sellOut(ctx, i, units)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name(i), err)
		}
		all.posts, all.states, all.pages = append(all.posts, one.posts...), append(all.states, one.states...), append(all.pages, one.pages...)
	}
	worst := func(of ...float64) spread { return spread{slices.Max(of)} }
	return []line{
		{
			what:   fmt.Sprintf("sold out known to every node, at worst of %d times", b.sellouts),
			goal:   atMost(1, "s"),
			value:  worst(append(slices.Clone(all.posts), all.states...)...),
			figure: fmt.Sprintf("a POST hears it after %s s, state.json says it after %s s", all.posts, all.states),
		},
		{
			what: "sold out known to every open page, at worst", goal: atMost(2, "s"), value: worst(all.pages...),
			figure: fmt.Sprintf("%s s; %d pages that poll through a cache", all.pages, pagesOpen),
		},
	}, nil
}

// sellOut sells a sale's units at one node and looks at all of them. Every
// other time a buyer asks before anybody looks.
func (f *fleet) sellOut(ctx context.Context, number, units int) (sellout, error) {
	ctx, cancel := context.WithTimeout(ctx, lookMax)
	defer cancel()
	sale, at := name(number), number%len(f.Nodes)
	buyers, err := f.crowd.orders(units, of(sale, "sku-0"))
	if err != nil {
		return sellout{}, err
	}
	for i := range units - 1 {
		if err := buy(f.Nodes[at].Buyers, buyers.at(i)); err != nil {
			return sellout{}, err
		}
	}
	var mu sync.Mutex
	var seen sellout
	var faults []error
	var lookers sync.WaitGroup
	sold := make(chan struct{}) // closed when the last unit is
	var since time.Time
	look := func(into *spread, until func(context.Context) error) {
		lookers.Go(func() {
			err := until(ctx)
			at := time.Now()
			<-sold
			mu.Lock()
			defer mu.Unlock()
			*into, faults = append(*into, max(0, at.Sub(since).Seconds())), append(faults, err)
		})
	}
	shared := &cache{door: f.Nodes[(at+1)%len(f.Nodes)].Buyers, path: "/s/" + sale + "/state.json"}
	for range pagesOpen {
		look(&seen.pages, shared.page)
	}
	time.Sleep(time.Duration((1 + rand.Float64()) * float64(cached))) // until the pages poll at any moment
	if err := buy(f.Nodes[at].Buyers, buyers.at(units-1)); err != nil {
		cancel()
		close(sold)
		lookers.Wait()
		return seen, err
	}
	since = time.Now()
	close(sold)
	var asking sync.Mutex
	for _, n := range f.Nodes {
		l := &looker{fleet: f, asking: &asking, door: n.Buyers, sale: sale}
		if number%2 == 0 {
			look(&seen.states, l.state)
		} else {
			look(&seen.posts, l.post)
		}
	}
	lookers.Wait()
	return seen, errors.Join(faults...)
}

// buy wants an order.
func buy(door string, request []byte) error {
	status, body, err := askOnce(door, request)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("%s answers %d %s, want %d", door, status, body, http.StatusCreated)
	}
	return err
}

// looker looks at one node.
type looker struct {
	*fleet
	asking     *sync.Mutex // for the crowd
	door, sale string
}

// state returns when the node's state.json says sold out and, at once, a buyer
// hears it, too.
func (l *looker) state(ctx context.Context) error {
	c, err := load.Dial(l.door)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing to lose
	for {
		said, err := stateOf(c, "/s/"+l.sale+"/state.json")
		if err != nil {
			return err
		}
		if said == gate.Gone.String() {
			break
		}
		if err := rest(ctx, lookRest); err != nil {
			return err
		}
	}
	code, err := l.try(c)
	if err == nil && code != soldOutCode {
		err = fmt.Errorf("state.json says sold out, a buyer hears %q", code)
	}
	return err
}

// post returns when a new buyer hears sold out.
func (l *looker) post(ctx context.Context) error {
	c, err := load.Dial(l.door)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing to lose
	for {
		code, err := l.try(c)
		if err != nil || code == soldOutCode {
			return err
		}
		if err := rest(ctx, lookRest); err != nil {
			return err
		}
	}
}

const soldOutCode = "sold_out"

// try returns the code of the refusal that a new buyer hears.
func (l *looker) try(c *load.Conn) (string, error) {
	l.asking.Lock()
	late, err := l.crowd.orders(1, of(l.sale, "sku-0"))
	l.asking.Unlock()
	if err != nil {
		return "", err
	}
	status, body, err := c.Ask(late.at(0))
	if err != nil {
		return "", err
	}
	if status < http.StatusBadRequest {
		return "", fmt.Errorf("one more than there are was sold: %d %s", status, body)
	}
	var no struct{ Code string }
	return no.Code, json.Unmarshal(body, &no)
}

// shown is what a state.json says: of the first item, and when it was written.
type shown struct {
	state string
	at    time.Time
}

// stateOf returns the state of the first item.
func stateOf(c *load.Conn, path string) (string, error) {
	said, err := readState(c, path)
	return said.state, err
}

func readState(c *load.Conn, path string) (shown, error) {
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 10.%d.%d.%d\r\n\r\n", path, rand.N(256), rand.N(256), rand.N(256))
	status, body, err := c.Ask(request)
	if err != nil {
		return shown{}, err
	}
	if status != http.StatusOK {
		return shown{}, fmt.Errorf("%s: %d %s", path, status, bytes.TrimSpace(body))
	}
	var said struct {
		ServerTime time.Time `json:"server_time"`
		Items      []struct{ State string }
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return shown{}, err
	}
	if len(said.Items) == 0 {
		return shown{}, fmt.Errorf("no items in %s", body)
	}
	return shown{said.Items[0].State, said.ServerTime}, nil
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cache is what stands between pages and a node: a CDN that keeps state.json
// for as long as it may.
type cache struct {
	door, path string

	mu    sync.Mutex
	at    time.Time
	said  shown
	asked int // how often the node was
}

func (c *cache) state() (shown, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < cached {
		return c.said, nil
	}
	conn, err := load.Dial(c.door)
	if err != nil {
		return shown{}, err
	}
	defer func() { _ = conn.Close() }() // nothing to lose
	c.at = time.Now()                   // when it was written, at the latest
	c.asked++
	c.said, err = readState(conn, c.path)
	return c.said, err
}

// page polls as an open page does, until it hears sold out. It knows the
// server's time from what it heard alone: the newest copy when it came is the
// nearest to it.
func (c *cache) page(ctx context.Context) error {
	if err := rest(ctx, rand.N(cached)); err != nil { // pages are opened at any moment
		return err
	}
	behind := time.Duration(math.MaxInt64) // our clock, of the server's, at most
	copies, last := 0, time.Time{}
	for {
		said, err := c.state()
		if err != nil || said.state == gate.Gone.String() {
			return err
		}
		since := time.Since(said.at)
		behind = min(behind, since)
		if !said.at.Equal(last) {
			copies, last = copies+1, said.at
		}
		if err := rest(ctx, pagePause(copies, since-behind, rand.Float64())); err != nil {
			return err
		}
	}
}

// pagePause is when a page asks again that has seen so many copies, the last of
// that age.
func pagePause(copies int, age time.Duration, random float64) time.Duration {
	pause := time.Duration(random * float64(pageSpread))
	if copies < 2 {
		return pause + pageLeast
	}
	return pause + max(pageLeast, pageFresh-age)
}
