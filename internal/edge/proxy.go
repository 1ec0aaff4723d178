package edge

import (
	"fmt"
	"math"
	"net"
	"slices"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// headRoom is how much more than all nodes together a proxy lets one address
// or buyer ask. The nodes' own limits stay the exact ones, counted as buyers
// are told; the proxy only sheds what is far above them, before it costs a
// node anything.
const headRoom = 2

// Times, in seconds.
const (
	answerMax   = 30 // the longest that a buyer may ask a node to wait
	readMax     = 35 // what a proxy waits for: giving up sooner would make an outcome unknown
	slowReadMax = 10 // for a request's head and body, twice what nodes wait
	pauseMax    = 5  // in the middle of a body or an answer
	periodMax   = 10 // over which HAProxy counts
)

// limit is a node's rate as proxies write it.
type limit struct{ PerSecond, Burst int }

// limitOf returns what a proxy lets pass of a rate that each of so many nodes
// counts for itself; nil: no limit.
func limitOf(rate gate.Rate, nodes int) *limit {
	if rate.PerSecond <= 0 {
		return nil
	}
	times := float64(headRoom * nodes)
	return &limit{
		PerSecond: max(1, int(math.Ceil(rate.PerSecond*times))), // nginx knows whole numbers
		Burst:     max(1, int(times)*rate.Burst),
	}
}

// Period is how many requests fit into HAProxy's counting period.
func (l *limit) Period() int { return l.PerSecond*periodMax + l.Burst }

// Waiting is how many requests of one address can wait for their answers at
// once if it keeps to its rate.
func (l *limit) Waiting() int { return min(waitingMax, l.PerSecond*answerMax+l.Burst) }

const waitingMax = 65_535 // all that nginx can count

// front is what both proxies' templates are written from.
type front struct {
	Site
	Address, Buyer *limit
	Origins        []string // exact ones
	AnyOrigin      bool
	Words          words

	// Seconds.
	AnswerMax, ReadMax, SlowReadMax, PauseMax, Period int
}

// frontOf completes a checked site.
func frontOf(site Site) front {
	f := front{
		Site: site, Address: limitOf(site.LimitAddress, len(site.Nodes)), Buyer: limitOf(site.LimitBuyer, len(site.Nodes)),
		AnyOrigin: slices.Contains(site.PageOrigins, "*"), Words: refusals(),
		AnswerMax: answerMax, ReadMax: readMax, SlowReadMax: slowReadMax, PauseMax: pauseMax, Period: periodMax,
	}
	if !f.AnyOrigin {
		f.Origins = site.PageOrigins
	}
	return f
}

// renderNginx writes the configuration of nginx.
func renderNginx(site Site) ([]File, error) {
	var wrong faults
	wrong.nodes(site)
	wrong.proxy(site.Proxy, true)
	wrong.web(site)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	file, err := fill("nginx/nginx.conf", "nginx.conf", plain, frontOf(site))
	return []File{file}, err
}

// renderHAProxy writes the configuration of HAProxy, and what it answers where
// no node does.
func renderHAProxy(site Site) ([]File, error) {
	var wrong faults
	wrong.nodes(site)
	wrong.proxy(site.Proxy, false)
	wrong.web(site)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	f := frontOf(site)
	file, err := fill("haproxy/haproxy.cfg", "haproxy.cfg", plain, f)
	gone := fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"+
		"X-Content-Type-Options: nosniff\r\nRetry-After: 1\r\nProxy-Status: haproxy; error=destination_unavailable\r\n\r\n%s",
		wire.ProblemType, len(f.Words.Gone), f.Words.Gone)
	return []File{file, {Name: "errors/unavailable.http", Mode: plain, Text: gone}}, err
}

// entry is an address to listen at as nginx and HAProxy write it.
func entry(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host != "" {
		return listen
	}
	return port
}

// words are the bodies of what a proxy answers itself, as nodes say it: pages
// and programs know it by its code.
type words struct{ Crowd, TooLarge, Gone string }

func refusals() words {
	crowd, _, _ := gate.Strangers()
	say := func(no shop.Refusal) string { return string(wire.AppendRefusal(nil, &no)) }
	return words{
		Crowd:    say(crowd),
		TooLarge: say(shop.Refusal{Code: shop.TooLarge}),
		Gone: say(shop.Refusal{
			Code:   shop.Unavailable,
			Detail: "The shop does not answer at this moment. Ask again under the same Idempotency-Key.",
		}),
	}
}
