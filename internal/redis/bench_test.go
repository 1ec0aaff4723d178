package redis

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// crowdSize is how many buy in one round of the benchmark, each once.
const crowdSize = 100_000

// BenchmarkReserve is D1: reservations a second in calls of 256 buyers, as a
// multiple of what redis-benchmark reaches with a script for one buyer, on
// servers of their own, in turn. The ratio of the servers' CPU per reservation
// is what stays on a machine that has other work. Run it with -benchtime 5x.
func BenchmarkReserve(b *testing.B) {
	for _, fsync := range []string{"everysec", "always"} {
		b.Run(fsync, func(b *testing.B) {
			// A rewrite would take the other core from whoever meets it.
			args := []string{"--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0"}
			server := ownRedis(b, args...)
			usual := ownRedis(b, "--auto-aof-rewrite-percentage", "0")
			c := open(b, server.URL())
			var batches, ones, usuals []figures
			for b.Loop() {
				ones, usuals = append(ones, oneBuyer(b, server)), append(usuals, oneBuyer(b, usual))
				batches = append(batches, c.rush(b, server))
			}
			ours, one, everysec := median(batches), median(ones), median(usuals)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ours.perSecond, "reservations/s")
			b.ReportMetric(ours.cpu, "cpu-us")
			b.ReportMetric(one.perSecond, "one-buyer/s")
			b.ReportMetric(one.cpu, "one-buyer-cpu-us")
			b.ReportMetric(ours.perSecond/one.perSecond, "ratio")
			b.ReportMetric(one.cpu/ours.cpu, "cpu-ratio")
			b.ReportMetric(ours.perSecond/everysec.perSecond, "ratio-to-everysec")
		})
	}
}

// median takes each figure by itself.
func median(all []figures) figures {
	var rates, costs []float64
	for _, f := range all {
		rates, costs = append(rates, f.perSecond), append(costs, f.cpu)
	}
	slices.Sort(rates)
	slices.Sort(costs)
	return figures{perSecond: rates[len(rates)/2], cpu: costs[len(costs)/2]}
}

// rush lets a crowd buy in a new bucket, by as many calls at once as one
// bucket has under way where all are full. It returns reservations a second, and the
// microseconds of the server's CPU that each took.
func (c *Client) rush(b *testing.B, server *servers.Redis) figures {
	b.Helper()
	bucket := shop.Bucket{Sale: "drop"}
	c.forget(b, bucket)
	s := c.Stock()
	must(b, s.Start(b.Context(), bucket, 1))
	must(b, s.ApplyGrant(b.Context(), bucket, 1, stock.Grant{Number: 1, SKU: "eu-42", Quantity: crowdSize}))
	flights := make(chan *flight, crowdSize/batchMax)
	for n := range cap(flights) {
		flights <- newFlight(bucket, n*batchMax)
	}
	close(flights)
	k := c.shelf(bucket).keys
	return measure(b, server, cap(flights)*batchMax, func() {
		var all sync.WaitGroup
		for range fullFlightsMax {
			all.Go(func() {
				for f := range flights {
					answer, err := c.run(context.Background(), c.scripts.reserve, []string{k.state, k.tickets, k.buyers, k.stream, k.depth}, f.args())
					if err == nil {
						_, err = f.read(answer)
					}
					if err != nil || f.fresh != batchMax {
						b.Errorf("%d new tickets, want %d; error %v", f.fresh, batchMax, err)
					}
				}
			})
		}
		all.Wait()
	})
}

func newFlight(bucket shop.Bucket, from int) *flight {
	f := &flight{bucket: bucket, at: time.Now()}
	for n := from; n < from+batchMax; n++ {
		ask := &stock.Ask{
			Nonce: uint64(n) * 0xbf58476d1ce4e5b9, KeyPrint: uint64(n) * 0x94d049bb133111eb,
			Buyer: fmt.Sprintf("user-%026d", n), SKU: "eu-42", Quantity: 1, Limit: 1, Live: stock.LiveUnknown,
		}
		binary.BigEndian.PutUint64(ask.Claim[:], uint64(n)*0x9e3779b97f4a7c15)
		binary.BigEndian.PutUint64(ask.Claim[8:], uint64(n)*0xd6e8feb86659fd93)
		f.asks = append(f.asks, ask)
	}
	return f
}

// figures are of one way to reserve.
type figures struct{ perSecond, cpu float64 }

// measure runs what makes so many reservations.
func measure(b *testing.B, server *servers.Redis, count int, run func()) figures {
	b.Helper()
	spent, began := processor(b, server), time.Now()
	run()
	took := time.Since(began)
	return figures{perSecond: float64(count) / took.Seconds(), cpu: (processor(b, server) - spent) / float64(count) * 1e6}
}

// processor returns the seconds of CPU that a server has used.
func processor(b *testing.B, server *servers.Redis) float64 {
	b.Helper()
	text, err := server.Do(b.Context(), "INFO", "cpu")
	must(b, err)
	var seconds float64
	for _, part := range regexp.MustCompile(`used_cpu_(?:user|sys):([0-9.]+)`).FindAllStringSubmatch(text, -1) {
		used, err := strconv.ParseFloat(part[1], 64)
		must(b, err)
		seconds += used
	}
	return seconds
}

// oneBuyer measures the yardstick.
func oneBuyer(b *testing.B, server *servers.Redis) figures {
	b.Helper()
	text, err := os.ReadFile("testdata/one.lua")
	must(b, err)
	sha, err := server.Do(b.Context(), "SCRIPT", "LOAD", string(text))
	must(b, err)
	_, err = server.Do(b.Context(), "HSET", "yard:{a}:s", "p", "1", "e", "1", "n", "0", "f:eu-42", "1000000000000")
	must(b, err)
	_, port, err := net.SplitHostPort(server.Address)
	must(b, err)
	var out string
	f := measure(b, server, crowdSize, func() {
		out, err = servers.Output(b.Context(), "redis-benchmark", "-p", port, "-P", "64", "-n", strconv.Itoa(crowdSize), "-r", "1000000000", "--csv",
			"EVALSHA", sha, "4", "yard:{a}:s", "yard:{a}:t", "yard:{a}:u", "yard:{a}:q",
			"1", "cccc__rand_int__", "user-00000000000000__rand_int__", "eu-42", "1", "1000", "tttttttttttttttttttttttttttttttttttttttt")
		must(b, err)
	})
	_, err = server.Do(b.Context(), "DEL", "yard:{a}:s", "yard:{a}:t", "yard:{a}:u", "yard:{a}:q")
	must(b, err)
	figure := regexp.MustCompile(`(?m)^"EVALSHA[^\n]*?","([0-9.]+)"`).FindStringSubmatch(out)
	if figure == nil {
		b.Fatalf("no figure in %q", out)
	}
	f.perSecond, err = strconv.ParseFloat(figure[1], 64) // without the start of the program
	must(b, err)
	return f
}

// BenchmarkMeter is what --limit-buyer-shared costs: orders of different buyers
// that are counted at once.
func BenchmarkMeter(b *testing.B) {
	meter := open(b, oneRedis(b).URL()).Meter(gate.Rate{PerSecond: 5, Burst: 10})
	meter.patience = time.Minute
	var next atomic.Int64
	b.SetParallelism(256)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := meter.Take(b.Context(), fmt.Sprint("buyer-", next.Add(1)), time.Now().UnixNano()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkSettle is what the server's CPU pays to end tickets in calls of 256.
func BenchmarkSettle(b *testing.B) {
	server := ownRedis(b, "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
	c, bucket := open(b, server.URL()), shop.Bucket{Sale: "drop"}
	must(b, c.Stock().Start(b.Context(), bucket, 1))
	must(b, c.Stock().ApplyGrant(b.Context(), bucket, 1, stock.Grant{Number: 1, SKU: "eu-42", Quantity: 1 << 40}))
	var spent float64
	n := 0
	for b.Loop() {
		f := newFlight(bucket, n)
		n += len(f.asks)
		asks := make([]stock.Ask, len(f.asks))
		for i := range asks {
			asks[i] = *f.asks[i]
		}
		answers, err := c.Stock().Reserve(b.Context(), bucket, asks, nil)
		must(b, err)
		ends := make([]stock.Settlement, len(answers))
		for i := range answers {
			ends[i] = stock.Settlement{Ticket: answers[i].Ticket, Verdict: shop.Consumed, Live: 1}
		}
		before := processor(b, server)
		must(b, c.Stock().Settle(b.Context(), bucket, ends))
		spent += processor(b, server) - before
	}
	b.ReportMetric(spent/float64(n)*1e6, "cpu-us")
}
