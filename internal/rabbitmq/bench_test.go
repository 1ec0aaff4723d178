package rabbitmq

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/doorbuster/doorbuster/internal/queue"
)

const (
	d4Messages = 20_000 // of one ticket each, bare and ours
	d4Packed   = 400_000
	d4Call     = 1024 // tickets of one Publish, as the relay has them
)

// BenchmarkD4 compares tickets a second with confirmed publishes of a bare
// quorum queue, in one run, by turns: performance.md's row D4.
//
//	go test ./internal/rabbitmq -run xxx -bench D4 -benchtime 1x
func BenchmarkD4(b *testing.B) {
	for range b.N {
		var bare, single, packed, through, throughOnes []float64
		ones := open(b, Options{TicketsMax: 1})
		packs := open(b, Options{})
		road := open(b, Options{})
		narrow := open(b, Options{TicketsMax: 1, Prefetch: windowMax})
		for range 3 {
			bare = append(bare, bareRate(b))
			single = append(single, publishRate(b, ones, d4Messages))
			packed = append(packed, publishRate(b, packs, d4Packed))
			through = append(through, throughRate(b, road, d4Packed))
			throughOnes = append(throughOnes, throughRate(b, narrow, d4Messages))
		}
		base := median(bare)
		b.ReportMetric(base, "bare/s")
		b.ReportMetric(median(single)/base, "single/bare")
		b.ReportMetric(median(packed)/base, "packed/bare")
		b.ReportMetric(median(through)/base, "packed-through/bare")
		b.ReportMetric(median(throughOnes)/base, "single-through/bare")
	}
}

func median(rates []float64) float64 {
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// bareRate publishes single tickets to a plain quorum queue, as fast as a
// window of the same size lets one writer.
func bareRate(b *testing.B) float64 {
	ch := operator(b)
	name := namesOf("bare").tickets
	_, err := ch.QueueDeclare(name, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	must(b, err)
	must(b, ch.Confirm(false))
	body := queue.Pack(nil, tickets(0, 1))
	window := make([]*amqp.DeferredConfirmation, 0, d4Messages)
	begin := time.Now()
	for n := range d4Messages {
		if n >= windowMax && !window[n-windowMax].Wait() {
			b.Fatal("not confirmed")
		}
		confirm, err := ch.PublishWithDeferredConfirm("", name, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body})
		must(b, err)
		window = append(window, confirm)
	}
	for _, confirm := range window[d4Messages-windowMax:] {
		if !confirm.Wait() {
			b.Fatal("not confirmed")
		}
	}
	rate := d4Messages / time.Since(begin).Seconds()
	_, err = ch.QueuePurge(name, false)
	must(b, err)
	return rate
}

// publishRate publishes tickets in a relay's calls, four at a time.
func publishRate(b *testing.B, broker *Broker, count int) float64 {
	must(b, broker.Publish(b.Context(), tickets(0, 1)))
	begin := time.Now()
	pour(b, broker, count)
	rate := float64(count) / time.Since(begin).Seconds()
	_, err := operator(b).QueuePurge(broker.names.tickets, false)
	must(b, err)
	return rate
}

func pour(b *testing.B, broker *Broker, count int) {
	var next atomic.Int64
	var all sync.WaitGroup
	batch := tickets(0, d4Call)
	for range 4 {
		all.Go(func() {
			for next.Add(d4Call) <= int64(count) {
				if err := broker.Publish(b.Context(), batch); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// throughRate counts until the tickets are received and acknowledged.
func throughRate(b *testing.B, broker *Broker, count int) float64 {
	count -= count % d4Call
	begin := time.Now()
	var writing sync.WaitGroup
	writing.Go(func() { pour(b, broker, count) })
	var got []queue.Delivery
	for came := 0; came < count; came += len(got) {
		var err error
		got, err = broker.Receive(b.Context(), d4Call, got[:0])
		must(b, err)
		must(b, broker.Ack(b.Context(), got))
	}
	writing.Wait()
	return float64(count) / time.Since(begin).Seconds()
}
