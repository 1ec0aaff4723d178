package queuetest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/doorbuster/doorbuster/internal/queue"
)

// large is more than a backend may put into one message, entry or frame.
func large(b *bench) {
	const count = 3000
	b.publish(tickets(1, 1+count)...)
	got := b.receiveAll(count)
	for i, seq := range seqs(got) {
		if seq != int64(i+1) {
			b.Fatalf("ticket %d came in place %d", seq, i+1)
		}
	}
	var odd, even []queue.Delivery
	for i := range got {
		if i%2 == 0 {
			odd = append(odd, got[i])
		} else {
			even = append(even, got[i])
		}
	}
	slices.Reverse(odd)
	b.ack(odd...)
	b.wantDepth(count / 2)
	b.Redeliver()
	again := b.receiveAll(count / 2)
	b.ack(even...) // too late, or just in time
	b.ack(again...)
	b.wantDepth(0)
}

func depth(b *bench) {
	b.wantDepth(0)
	b.publish(tickets(1, 6)...)
	b.wantDepth(5)
	got := b.receiveAll(2)
	b.wantDepth(5)
	b.ack(got[0])
	b.wantDepth(4)
	b.Redeliver()
	b.wantDepth(4)
	b.ack(b.receiveAll(4)...)
	b.wantDepth(0)
}

func shared(b *bench) {
	const receivers, count = 4, 400
	ctx, end := context.WithTimeout(b.Context(), patience)
	defer end()
	var mu sync.Mutex
	seen := map[int64]int{}
	var all sync.WaitGroup
	for range receivers {
		all.Go(func() {
			for {
				got, err := b.Queue.Receive(ctx, 7, nil)
				if errors.Is(err, context.Canceled) {
					return // all tickets came
				}
				if err != nil {
					b.Errorf("receive: %v", err)
					return
				}
				if err := b.Queue.Ack(context.WithoutCancel(ctx), got); err != nil {
					b.Errorf("ack: %v", err)
				}
				mu.Lock()
				for _, seq := range seqs(got) {
					seen[seq]++
				}
				if len(seen) == count {
					end()
				}
				mu.Unlock()
			}
		})
	}
	for from := 0; from < count; from += 10 {
		b.publish(tickets(from, from+10)...)
	}
	all.Wait()
	for seq, times := range seen {
		if times != 1 {
			b.Errorf("ticket %d came %d times to receivers who acknowledge at once", seq, times)
		}
	}
	b.wantDepth(0)
}

func nothing(b *bench) {
	b.publish()
	b.ack()
	b.wantDepth(0)
	b.publish(ticket(1))
	b.wantSeqs(b.receive(10), 1)
}
