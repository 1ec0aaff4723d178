package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/doorbuster/doorbuster/bench/load"
)

// polls is E5: what every open page asks for once a second, against the same
// bytes in a file.
func (b *bench) polls(ctx context.Context) ([]line, error) {
	n, err := b.startNode(ctx, "", openSale("drop", 8, plenty))
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.end() }() // its figures are known
	state, err := n.fetch(ctx, n.buyers, statePath)
	if err != nil {
		return nil, err
	}
	y, err := b.startNginx(ctx, likeness(0), state)
	if err != nil {
		return nil, err
	}
	defer func() { _ = y.end() }()

	at, file := b.gets(statePath), b.gets("/state.json")
	product := target{n.server, n.buyers, 64, http.StatusOK}
	limit := target{y.server, y.address, 64, http.StatusOK}
	sources := []load.Source{file.again(), at.again()}
	turn := 0
	p, err := b.compare(product, limit, func() (load.Source, error) { turn++; return sources[(turn-1)%2], nil })
	if err != nil {
		return nil, err
	}
	l := p.rateLine("state.json polls, 64 connections", 0.80)
	l.figure += fmt.Sprintf("; CPU %s µs, nginx %s µs", cpus(p.product), cpus(p.limit))
	l.what = "state.json polls, 64 connections: answers/s ÷ nginx file"
	second, err := b.wrkGet(ctx, "http://"+n.buyers+statePath, "http://"+y.address+"/state.json")
	l.figure += second
	return []line{l}, err
}

// gets writes a pool of requests for a path, each from another address.
func (b *bench) gets(path string) *requests {
	r := &requests{}
	for i := range b.pool {
		r.add(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"+
			"Accept: */*\r\nX-Forwarded-For: 10.%d.%d.%d\r\n\r\n", path, i>>16&255, i>>8&255, i&255))
	}
	return r
}
