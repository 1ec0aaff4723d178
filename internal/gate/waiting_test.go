package gate

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestSoManyOrdersOfABuyerAndOfAnAddressWaitAtOnce(t *testing.T) {
	gate := newGate(t, Rate{}, Rate{})
	gate.Waiting = NewWaiting(2, 3)
	here, there := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::1")
	sit := func(buyer string, client netip.Addr, want bool) Seat {
		t.Helper()
		seat, err := gate.Seat(buyer, client)
		if (err == nil) != want {
			t.Errorf("%s at %s: %v, want a seat: %v", buyer, client, err, want)
		}
		return seat
	}
	first := sit("ann", here, true)
	sit("ann", here, true)
	sit("ann", there, false)
	last := sit("bob", netip.MustParseAddr("2001:db8::2"), true) // of the same /64
	sit("cid", here, false)
	sit("cid", there, true)
	first.Leave()
	sit("ann", here, true)
	last.Leave()
	gate.Lists.Post(entries(t, "allow 2001:db8::/64", "allow buyer:ann"))
	for range 10 {
		sit("ann", here, true)
	}
	sit("cid", here, true)
	sit("cid", here, false)
	for reason, count := range gate.Counts.All() {
		if want := map[Reason]uint64{BuyerWaiting: 2, AddressWaiting: 1}[reason]; count != want {
			t.Errorf("%s was counted %d times, want %d", reason, count, want)
		}
	}
	gate.Waiting = nil
	for range 10 {
		sit("dan", there, true)
	}
}

// However many come and go at once, never more than so many sit, and when all
// have left all places are free.
func TestSeatsAreGivenBack(t *testing.T) {
	gate := newGate(t, Rate{}, Rate{})
	gate.Waiting = NewWaiting(3, 5)
	client := netip.MustParseAddr("192.0.2.1")
	var sitting, most atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 2000 {
				seat, err := gate.Seat(fmt.Sprint("buyer-", i%2), client)
				if err != nil {
					continue
				}
				now := sitting.Add(1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				sitting.Add(-1)
				seat.Leave()
			}
		})
	}
	all.Wait()
	if most.Load() > 5 || most.Load() == 0 {
		t.Errorf("%d sat at once, want 1 to 5", most.Load())
	}
	for _, tally := range []*tally{&gate.Waiting.buyers, &gate.Waiting.addresses} {
		for _, row := range tally.rows {
			for i := range row {
				if n := row[i].Load(); n != 0 {
					t.Fatalf("%d are counted where nobody is", n)
				}
			}
		}
	}
}

// Full as the desk may be, strangers do not keep each other out.
func TestStrangersWhoWaitDoNotCountForEachOther(t *testing.T) {
	gate := newGate(t, Rate{}, Rate{})
	gate.Waiting = NewWaiting(WaitingPerBuyer, WaitingPerAddress)
	for i := range 10_000 {
		if _, err := gate.Seat(fmt.Sprint("buyer-", i), v6(uint64(i), 1)); err != nil {
			t.Fatalf("buyer %d: %v", i, err)
		}
	}
}

func TestASeatCostsNoMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	gate := newGate(t, Rate{}, Rate{})
	gate.Waiting = NewWaiting(1, 1)
	client := netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() {
		first, err := gate.Seat("ann", client)
		_, refused := gate.Seat("bob", client)
		if no, _ := refused.(shop.Refusal); err != nil || no.Code != shop.TooManyRequests { //nolint:errorlint // AsType allocates here
			t.Fatalf("%v, then %v", err, refused)
		}
		first.Leave()
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
