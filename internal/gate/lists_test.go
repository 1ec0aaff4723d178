package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// entries reads "block 10.0.0.0/8" and the like.
func entries(t testing.TB, lines ...string) (all []shop.Entry) {
	t.Helper()
	for _, line := range lines {
		var name, text string
		if _, err := fmt.Sscanf(line, "%s %s", &name, &text); err != nil {
			t.Fatal(err)
		}
		list, ok := shop.ParseList(name)
		subject, err := shop.ParseSubject(text)
		if err != nil || !ok {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, shop.Entry{List: list, Subject: subject})
	}
	return all
}

func TestTheLongestPrefixDecidesAndABlockWhereTheyAreOne(t *testing.T) {
	var lists Lists
	if lists.address(netip.MustParseAddr("10.0.0.1")) != 0 || lists.buyer("ann") != 0 {
		t.Error("empty lists name somebody")
	}
	lists.Post(entries(t,
		"block 10.0.0.0/8", "allow 10.1.0.0/16", "block 10.1.2.0/24", "allow 10.1.2.3",
		"allow 192.0.2.0/24", "block 192.0.2.0/24", "block 198.51.100.0/24", "allow 198.51.100.0/24",
		"allow 2001:db8::/32", "block 2001:db8:5::/48", "block buyer:bot", "allow buyer:press", "allow buyer:both", "block buyer:both"))
	for addr, want := range map[string]shop.List{
		"10.9.9.9": shop.Block, "10.1.9.9": shop.Allow, "10.1.2.9": shop.Block, "10.1.2.3": shop.Allow, "::ffff:10.1.2.3": shop.Allow,
		"11.0.0.1": 0, "192.0.2.7": shop.Block, "198.51.100.7": shop.Block,
		"2001:db8::1": shop.Allow, "2001:db8:5::1": shop.Block, "2001:db8:6::1": shop.Allow, "2001:db9::1": 0, "fe80::1%eth0": 0,
	} {
		if got := lists.address(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
	if got := lists.address(netip.Addr{}); got != 0 {
		t.Errorf("no address: %v, want none", got)
	}
	for buyer, want := range map[string]shop.List{"bot": shop.Block, "press": shop.Allow, "both": shop.Block, "ann": 0} {
		if got := lists.buyer(buyer); got != want {
			t.Errorf("%s: %v, want %v", buyer, got, want)
		}
	}
	lists.Post(nil)
	if lists.address(netip.MustParseAddr("10.9.9.9")) != 0 {
		t.Error("a block was taken back and still counts")
	}
}

func TestTheBlockedAreToldAndTheAllowedPassTheLimits(t *testing.T) {
	strict := Rate{PerSecond: 0.01, Burst: 1}
	gate := newGate(t, strict, strict)
	gate.Guests, gate.Sales = NewLadder(strict, 1, 8), NewLimiter(strict, 8)
	gate.Lists.Post(entries(t, "block 203.0.113.0/24", "allow 203.0.113.9", "block buyer:bot", "allow buyer:press"))
	code := func(err error) shop.Code {
		no, _ := errors.AsType[shop.Refusal](err)
		if no.Code == shop.Forbidden && no.Detail == "" {
			t.Error("a block says nothing")
		}
		return no.Code
	}
	for range 5 {
		for _, ask := range []Ask{AskOrder, AskGuest, AskRead} {
			if got := code(gate.Admit(ask, netip.MustParseAddr("203.0.113.8"), testNow)); got != shop.Forbidden {
				t.Errorf("a blocked address hears %q", got)
			}
			if got := code(gate.Admit(ask, netip.MustParseAddr("203.0.113.9"), testNow)); got != "" {
				t.Errorf("an allowed address hears %q", got)
			}
		}
		if got := code(gate.AdmitBuyer(Identity{Buyer: "press"}, "retro-85", false, testNow)); got != "" {
			t.Errorf("an allowed buyer hears %q", got)
		}
	}
	if got := code(gate.AdmitBuyer(Identity{Buyer: "bot"}, "retro-85", false, testNow)); got != shop.Forbidden {
		t.Errorf("a blocked buyer hears %q", got)
	}
	if got := code(gate.AdmitBuyer(Identity{Buyer: "bot"}, "retro-85", false, testNow)); got != shop.TooManyRequests {
		t.Errorf("a blocked buyer who comes too often hears %q", got)
	}
	if got := code(gate.AdmitBuyer(Identity{Buyer: "press", Sale: "other"}, "retro-85", false, testNow)); got != shop.Forbidden {
		t.Errorf("an allowed guest of another sale hears %q", got)
	}
	for reason, count := range gate.Counts.All() {
		if want := map[Reason]uint64{BlockedAddress: 15, BlockedBuyer: 1, BuyerLimit: 1, OtherSale: 1}[reason]; count != want {
			t.Errorf("%s was counted %d times, want %d", reason, count, want)
		}
	}
}

// Every look-up sees one state of both lists, whole.
func TestListsChangeWhileTheyAreRead(t *testing.T) {
	var lists Lists
	a, b := entries(t, "block 10.0.0.0/8", "block buyer:a"), entries(t, "allow 10.0.0.0/8", "allow buyer:a")
	lists.Post(a)
	addr := netip.MustParseAddr("10.0.0.1")
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if lists.address(addr) == 0 || lists.buyer("a") == 0 {
					t.Error("nothing was found while the lists changed")
					return
				}
			}
		})
	}
	for i := range 2000 {
		lists.Post([][]shop.Entry{a, b}[i%2])
	}
	close(done)
	readers.Wait()
}

func BenchmarkListsOfManyPrefixes(b *testing.B) {
	var all []shop.Entry
	for i := range shop.EntriesMax {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 0}), 24)
		all = append(all, shop.Entry{List: shop.Block, Subject: shop.Subject{Prefix: prefix}})
	}
	before := heapInUse()
	var lists Lists
	lists.Post(all)
	grown := heapInUse() - before
	runtime.KeepAlive(all)
	addr := netip.MustParseAddr("203.0.113.9")
	b.ReportAllocs()
	for b.Loop() {
		if lists.address(addr) != 0 {
			b.Fatal("found")
		}
	}
	b.ReportMetric(float64(grown)/float64(len(all)), "B/entry")
}
