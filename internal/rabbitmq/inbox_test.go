package rabbitmq

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// tagged is the broker's side of one link: which tags it waits for. It closes
// the channel when it is told one that it does not wait for.
type tagged struct {
	t       *rapid.T
	waiting []uint64
}

func (b *tagged) hear(tag uint64, multiple bool) {
	at := slices.Index(b.waiting, tag)
	switch {
	case at < 0:
		b.t.Fatalf("tag %d is acknowledged, the broker waits for %v", tag, b.waiting)
	case multiple:
		b.waiting = b.waiting[at+1:]
	default:
		b.waiting = slices.Delete(b.waiting, at, at+1)
	}
}

func TestTheBrokerHearsOfEachWholeMessageOnceWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := newInbox()
		k := newLink()
		broker := &tagged{t: t}
		var out []queue.Delivery // handed out
		tag, left := uint64(0), map[uint64]int{}
		t.Repeat(map[string]func(*rapid.T){
			"a message comes": func(t *rapid.T) {
				tag++ // some are poison, and never come here
				tag += uint64(rapid.IntRange(0, 1).Draw(t, "poison before it"))
				size := rapid.IntRange(1, 4).Draw(t, "tickets")
				all := make([]shop.Ticket, size)
				for i := range all {
					all[i].Seq = int64(tag)
				}
				in.put(&parcel{link: k, tag: tag, tickets: all, left: size})
				broker.waiting = append(broker.waiting, tag)
				left[tag] = size
			},
			"some are received": func(t *rapid.T) {
				out, _ = in.take(rapid.IntRange(1, 5).Draw(t, "limit"), false, out)
			},
			"some are acknowledged": func(t *rapid.T) {
				if len(out) == 0 {
					t.Skip("none are out")
				}
				picked := rapid.SliceOfN(rapid.SampledFrom(out), 1, 6).Draw(t, "deliveries") // some twice
				for _, d := range picked {
					if at := slices.IndexFunc(out, func(o queue.Delivery) bool { return o.Tag == d.Tag }); at >= 0 && len(out) > 1 {
						out = slices.Delete(out, at, at+1)
						left[uint64(d.Ticket.Seq)]--
					} else if at >= 0 {
						out = nil
						left[uint64(d.Ticket.Seq)]--
					}
				}
				link, all, rest := in.ack(picked)
				if all > 0 {
					broker.hear(all, true)
				}
				for _, tag := range rest {
					broker.hear(tag, false)
				}
				if (all > 0 || len(rest) > 0) != (link != nil) {
					t.Fatalf("tags %d and %v for link %p", all, rest, link)
				}
			},
			"": func(t *rapid.T) {
				sum := 0
				for tag, count := range left {
					sum += count
					if waits := slices.Contains(broker.waiting, tag); waits != (count > 0) {
						t.Fatalf("message %d has %d tickets left, the broker waits: %v", tag, count, waits)
					}
				}
				if held, _ := in.holds(); held != sum {
					t.Fatalf("%d tickets held, want %d", held, sum)
				}
			},
		})
	})
}

func TestATagOfALostLinkMeansNothing(t *testing.T) {
	in := newInbox()
	first := newLink()
	in.put(&parcel{link: first, tag: 1, id: "a", tickets: tickets(0, 2), left: 2})
	stale, _ := in.take(10, true, nil)
	in.clear()
	in.put(&parcel{link: newLink(), tag: 1, id: "b", tickets: tickets(2, 4), left: 2})
	in.take(10, true, nil)
	if k, all, rest := in.ack(stale); k != nil || all != 0 || len(rest) > 0 {
		t.Errorf("tags %d and %v are acknowledged", all, rest)
	}
	if held, _ := in.holds(); held != 2 {
		t.Errorf("%d tickets held, want 2", held)
	}
}

func TestAMessageHasABound(t *testing.T) {
	large := tickets(0, 3000)
	for i := range large {
		large[i].Buyer = strings.Repeat("b", 128)
		large[i].SKU, large[i].Bucket.Sale = strings.Repeat("s", 63), strings.Repeat("r", 63)
		large[i].Bucket.Number, large[i].Epoch, large[i].Seq, large[i].Quantity = -1<<63, -1<<63, -1<<63, -1<<63
	}
	for len(large) > 0 {
		count := fit(large, partsMax)
		if size := len(queue.Pack(nil, large[:count])); size > bodyMax+100 || count < 1 {
			t.Errorf("%d tickets take %d bytes, want %d or fewer", count, size, bodyMax)
		}
		large = large[count:]
	}
	if count := fit(tickets(0, 100), 7); count != 7 {
		t.Errorf("%d tickets in a message, want 7", count)
	}
	huge := tickets(0, 2)
	huge[0].Buyer = strings.Repeat("b", 1<<20)
	if count := fit(huge, 100); count != 1 {
		t.Errorf("%d tickets beside a huge one, want it alone", count)
	}
}

func TestManyPublishersShareAWindowThatIsSmallerThanTheirCalls(t *testing.T) {
	b := open(t, Options{TicketsMax: 1})
	var all sync.WaitGroup
	for n := range 3 {
		all.Go(func() {
			if err := b.Publish(t.Context(), tickets(n*windowMax, (n+1)*windowMax)); err != nil {
				t.Error(err)
			}
		})
	}
	came := drain(t, b, 3*windowMax)
	all.Wait()
	for seq, times := range came {
		if times != 1 {
			t.Errorf("ticket %d came %d times", seq, times)
		}
	}
}
