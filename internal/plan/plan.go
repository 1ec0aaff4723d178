// Package plan sizes machines for a crowd: multiplication, with every
// assumption and every measured figure shown.
package plan

import (
	"fmt"
	"math"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Crowd is who comes, and how.
type Crowd struct {
	Buyers int64         // people who want one
	Stock  int64         // units
	Rush   time.Duration // within which everybody has ordered once
	Watch  time.Duration // for so long pages are open before

	Tries float64 // orders that one buyer sends
	Peak  float64 // the worst second, in mean seconds

	CDN        bool // serves pages and state.json
	NodeCores  int  // of one node's machine
	ProxyCores int  // of one balancer's

	CoreHour float64 // price of a core for an hour
	Gigabyte float64 // price of a gigabyte that goes out
}

// Bounds of a crowd: more people than there are is a mistake.
const (
	buyersMost = 10_000_000_000
	timeLeast  = 100 * time.Millisecond
	timeMost   = 7 * 24 * time.Hour
	coresMost  = 1024
	factorMost = 1000
	priceMost  = 1_000_000
)

// Check returns every fault, by the names of flags.
func (c *Crowd) Check() shop.Faults {
	var faults shop.Faults
	within := func(flag string, value, least, most float64, write string) {
		if !(value >= least && value <= most) {
			faults = append(faults, shop.Fault{Field: flag, Wrong: fmt.Sprintf("%v; write %s", value, write)})
		}
	}
	times := func(flag string, value time.Duration) {
		if value < timeLeast || value > timeMost {
			faults = append(faults, shop.Fault{Field: flag, Wrong: fmt.Sprintf("%s; write a time from %s to %s, such as 10s or 5m", value, timeLeast, timeMost)})
		}
	}
	within("--buyers", float64(c.Buyers), 1, buyersMost, "a number of people, such as 1M")
	within("--stock", float64(c.Stock), 1, shop.StockMax, fmt.Sprintf("a number of units from 1 to %d, such as 10k", shop.StockMax))
	times("--rush", c.Rush)
	times("--watch", c.Watch)
	within("--tries", c.Tries, 1, factorMost, "how many orders one buyer sends, from 1")
	within("--peak", c.Peak, 1, factorMost, "how many times the mean the worst second has, from 1")
	within("--node-cores", float64(c.NodeCores), 1, coresMost, "a number of cores, such as 4")
	within("--proxy-cores", float64(c.ProxyCores), 1, coresMost, "a number of cores, such as 8")
	within("--core-hour", c.CoreHour, 0, priceMost, "what a core costs for an hour, such as 0.05")
	within("--gigabyte", c.Gigabyte, 0, priceMost, "what a gigabyte that goes out costs, such as 0.05")
	return faults
}

// Part is one line of a plan.
type Part struct {
	What   string
	Figure string
	How    string // the arithmetic, with the figures of costs
}

// Section is what belongs together.
type Section struct {
	Title string
	Parts []Part
}

// sizing is a crowd in numbers that several sections need.
type sizing struct {
	*Crowd
	asks, orders, polls float64 // a second, at the worst
	soldIn              float64 // seconds until all units are ordered
	nodeCores           float64
	proxyCores          float64
	nodes, proxies      int64
}

// Make sizes machines. The crowd must have no faults.
func Make(c *Crowd) []Section {
	s := &sizing{Crowd: c}
	s.asks = float64(c.Buyers) * c.Tries / c.Rush.Seconds() * c.Peak
	s.orders = min(s.asks, orderPace)
	s.soldIn = float64(c.Stock) / s.orders
	s.polls = float64(c.Buyers) / pollEvery
	return []Section{s.comes(), s.turnedAway(), s.sold(), s.lines(), s.money(), sources()}
}

func (s *sizing) comes() Section {
	polls := Part{"state.json polls", perSecond(s.polls), "one for each open page and 1.1 s; served by the CDN"}
	if !s.CDN {
		polls.How = "one for each open page and 1.1 s; served by the nodes: have a CDN"
	}
	return Section{"What comes", []Part{
		{"orders asked for, in the worst second", perSecond(s.asks), fmt.Sprintf("%s buyers × %g tries ÷ %s × %g", count(float64(s.Buyers)), s.Tries, s.Rush, s.Peak)},
		polls,
	}}
}

// cores is what so many a second cost, where a core is used to 60 %.
func cores(perSecond, micros float64) float64 { return perSecond * micros / 1e6 / used }

// machines is how many of them there are, one to spare.
func machines(cores float64, each int) int64 {
	return int64(math.Ceil(cores/float64(each))) + 1
}

func (s *sizing) turnedAway() Section {
	refusals, orders := cores(s.asks, refusal().node), cores(s.orders, order().node)
	parts := []Part{
		{"node cores for refusals", decimal(refusals), by(s.asks, refusal().node)},
		{"node cores for orders", decimal(orders), by(s.orders, order().node)},
	}
	s.nodeCores = refusals + orders
	passed := s.asks
	if s.CDN {
		asked := cdnPlaces
		s.nodeCores += cores(asked, poll().node)
		parts = append(parts, Part{"node cores for what CDNs ask", decimal(cores(asked, poll().node)), fmt.Sprintf("%s places, once a second each", count(asked))})
	} else {
		s.nodeCores += cores(s.polls, poll().node)
		passed += s.polls
		parts = append(parts, Part{"node cores for polls", decimal(cores(s.polls, poll().node)), by(s.polls, poll().node)})
	}
	handshakes := float64(s.Buyers) / max(s.Watch.Seconds()/2, 1)
	s.proxyCores = cores(passed, refusal().proxy) + cores(handshakes, handshake)
	s.nodes, s.proxies = machines(s.nodeCores, s.NodeCores), machines(s.proxyCores, s.ProxyCores)
	return Section{"Who turns the crowd away", append(parts,
		Part{"nodes, one of them spare", fmt.Sprintf("%d of %d cores", s.nodes, s.NodeCores), "every node alike, behind consistent hashing"},
		Part{"balancer cores", decimal(s.proxyCores), by(passed, refusal().proxy) + fmt.Sprintf("; TLS: %s handshakes/s × %g µs", count(handshakes), handshake)},
		Part{"balancers, one of them spare", fmt.Sprintf("%d of %d cores", s.proxies, s.ProxyCores), "or fewer, where a balancer only passes TCP on"},
		Part{"connections that nodes hold from balancers", count(float64(s.nodes * placesPerNode)), fmt.Sprintf("%s places a node; buyers' own end at the balancers", count(placesPerNode))},
	)}
}

func (s *sizing) sold() Section {
	redis, database := s.orders*order().redis/1e6, cores(s.orders, order().database)
	masters := math.Ceil(float64(s.Stock) / askPace)
	return Section{"Who sells", []Part{
		{"all units ordered within", seconds(s.soldIn), fmt.Sprintf("%s units ÷ %s: one sale's pace, half of what is measured", count(float64(s.Stock)), perSecond(s.orders))},
		{"Redis masters, each with a replica", decimal(masters), fmt.Sprintf("%s units ÷ %s asks a second: reserved within a second; %s cores then", count(float64(s.Stock)), count(askPace), decimal(redis))},
		{"PostgreSQL", fmt.Sprintf("%d cores", max(2, int64(math.Ceil(database))+1)), fmt.Sprintf("%s × %g µs; a disk with power-loss protection, a synchronous standby", perSecond(s.orders), order().database)},
		{"its connections", count(float64(s.nodes * connectionsPerNode)), fmt.Sprintf("%d a node", connectionsPerNode)},
	}}
}

func (s *sizing) lines() Section {
	pages := float64(s.Buyers) * pageBytes
	states := Part{"state polls, from the CDN", bits(s.polls * stateBytes), "397 B each"}
	if !s.CDN {
		states.What = "state polls, from the nodes"
	}
	return Section{"Lines", []Part{
		{"order requests, in", bits(s.asks * requestBytes), fmt.Sprintf("%d B each", requestBytes)},
		{"answers, out", bits(s.asks * refusalBytes), fmt.Sprintf("%d B each", refusalBytes)},
		states,
		{"pages", fmt.Sprintf("%s, %s", bytesOf(pages), bits(pages/s.Watch.Seconds())), fmt.Sprintf("%d B each, once, within %s", pageBytes, s.Watch)},
	}}
}

func (s *sizing) money() Section {
	rented := float64(s.nodes)*float64(s.NodeCores) + float64(s.proxies)*float64(s.ProxyCores)
	hours := math.Ceil((s.Watch + s.Rush).Hours()) + 1
	out := float64(s.Buyers)*pageBytes + s.polls*s.Watch.Seconds()*stateBytes + float64(s.Buyers)*s.Tries*refusalBytes
	machine, line := rented*hours*s.CoreHour, out/1e9*s.Gigabyte
	return Section{"Money", []Part{
		{"nodes and balancers", price(machine), fmt.Sprintf("%s cores × %g h × %g", count(rented), hours, s.CoreHour)},
		{"what goes out, the CDN's too", price(line), fmt.Sprintf("%s × %g a gigabyte", bytesOf(out), s.Gigabyte)},
		{"together", price(machine + line), "in the currency of --core-hour and --gigabyte; stores, people and goods aside"},
	}}
}
