package gate

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A ladder lets a request pass exactly where an exact bucket of each of its
// rungs has one left, and takes it from all of them or from none.
func TestALadderTakesFromEachRungOrFromNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		burst := rapid.IntRange(1, 4).Draw(t, "burst")
		times := rapid.IntRange(1, 3).Draw(t, "network")
		const cost = 360_000 // ticks; its shares by times and siteTimes are whole ones
		ladder := NewLadder(Rate{PerSecond: ticksPerSecond / cost, Burst: burst}, times, 1<<12)
		model := map[netip.Prefix]*bucket{}
		of := func(addr netip.Addr, bits, n int) *bucket {
			prefix, _ := addr.Prefix(bits)
			if model[prefix] == nil {
				model[prefix] = &bucket{cost: int64(cost / n), depth: int64(cost / n * burst * n)}
			}
			return model[prefix]
		}
		now := int64(1e15) &^ (tick - 1)
		for range rapid.IntRange(1, 150).Draw(t, "requests") {
			now += rapid.Int64Range(0, cost).Draw(t, "pause") * tick
			part := rapid.Uint8Range(0, 3)
			addr := netip.AddrFrom4([4]byte{198, 51, part.Draw(t, "network"), part.Draw(t, "address")})
			rungs := []*bucket{of(addr, 32, 1), of(addr, 24, times)}
			if rapid.Bool().Draw(t, "IPv6") {
				addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, part.Draw(t, "network6"), part.Draw(t, "line"), 15: part.Draw(t, "host")})
				rungs = []*bucket{of(addr, 64, 1), of(addr, 56, times), of(addr, 48, siteTimes*times)}
			}
			refused := -1
			for i, r := range rungs {
				before := *r
				if ok, _ := r.allow(now / tick); !ok {
					refused = i
				}
				if *r = before; refused >= 0 {
					break
				}
			}
			if refused < 0 {
				for _, r := range rungs {
					r.allow(now / tick)
				}
			}
			rung, err := ladder.take(AskOrder, addr, now)
			if (err != nil) != (refused >= 0) || err != nil && rung != refused {
				t.Fatalf("%s: refused by rung %d (%v), want %d", addr, rung, err, refused)
			}
		}
	})
}

func TestChangingAddressesWithinANetworkGainsLittle(t *testing.T) {
	for name, c := range map[string]struct {
		addr func(i int) netip.Addr
		want int
	}{
		"one address":               {func(int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, 1}) }, 10},
		"the addresses of a /24":    {func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }, 80},
		"10,000 addresses of a /64": {func(i int) netip.Addr { return v6(1, uint64(i)) }, 10},
		"the /64s of a /56":         {func(i int) netip.Addr { return v6(uint64(i%256), 1) }, 80},
		"the /64s of a /48":         {func(i int) netip.Addr { return v6(uint64(i%65536), 1) }, 160},
		"strangers":                 {func(i int) netip.Addr { return v6(uint64(i)<<16, 1) }, 10_000},
	} {
		ladder, passed := NewLadder(Rate{PerSecond: 0.01, Burst: 10}, 8, 1<<16), 0
		for i := range 10_000 {
			if _, err := ladder.take(AskOrder, c.addr(i), testNow); err == nil {
				passed++
			}
		}
		if passed != c.want {
			t.Errorf("%s: %d of 10,000 requests passed, want %d", name, passed, c.want)
		}
	}
}

func v6(line, host uint64) netip.Addr {
	var addr [16]byte
	binary.BigEndian.PutUint64(addr[:], 0x2001_0db8_0000_0000+line)
	binary.BigEndian.PutUint64(addr[8:], host)
	return netip.AddrFrom16(addr)
}

func TestWhatIsAskedForHasALimitOfItsOwn(t *testing.T) {
	gate := newGate(t, Rate{PerSecond: 0.01, Burst: 2}, Rate{})
	gate.Guests = NewLadder(Rate{PerSecond: 0.01, Burst: 1}, 0, 8)
	client := netip.MustParseAddr("192.0.2.1")
	for ask, want := range map[Ask]int{AskOrder: 2, AskRead: 2, AskGuest: 1} {
		passed := 0
		for range 5 {
			if gate.Admit(ask, client, testNow) == nil {
				passed++
			}
		}
		if passed != want {
			t.Errorf("%d requests of kind %d passed, want %d", passed, ask, want)
		}
	}
}

func TestABuyerWhoTriesManyKeysInASaleIsSlowedDown(t *testing.T) {
	gate := newGate(t, Rate{}, Rate{PerSecond: 0.01, Burst: 20})
	gate.Sales = NewLimiter(Rate{PerSecond: 0.01, Burst: 3}, 64)
	passed := map[string]int{}
	for range 5 {
		for _, sale := range []string{"retro-85", "other"} {
			if gate.AdmitBuyer(Identity{Buyer: "ann"}, sale, false, testNow) == nil {
				passed[sale]++
			}
		}
	}
	if passed["retro-85"] != 3 || passed["other"] != 3 {
		t.Errorf("%v orders passed, want 3 of each sale", passed)
	}
	for i := range 12 { // repeats are the buyer's only, and 10 of 20 are spent
		if err := gate.AdmitBuyer(Identity{Buyer: "ann"}, "retro-85", true, testNow); (err == nil) != (i < 10) {
			t.Errorf("repeat %d: %v", i, err)
		}
	}
	if err := gate.AdmitBuyer(Identity{Buyer: "bob"}, "retro-85", false, testNow); err != nil {
		t.Errorf("another buyer: %v", err)
	}
}

func TestManyKeysTogetherStayWithinTheLimitersBounds(t *testing.T) {
	for _, rate := range []Rate{{PerSecond: rateMax, Burst: burstMax}, {PerSecond: 0.01, Burst: 36}, {PerSecond: 1000, Burst: 1}, {PerSecond: 1, Burst: 3600}} {
		for _, n := range []int{1, 7, 1 << 20} {
			if got := rate.times(n); got.check() != nil {
				t.Errorf("%s times %d is %s: %v", rate, n, got, got.check())
			}
		}
	}
}

// Security line 3, at the whole gate: millions of addresses and buyers, and
// nothing grows.
func TestAGateThatMillionsPassTakesNoMoreMemory(t *testing.T) {
	visitors := 5_000_000
	if testing.Short() || raceEnabled {
		visitors = 50_000
	}
	rate := Rate{PerSecond: 50, Burst: 100}
	gate := newGate(t, Rate{}, Rate{})
	gate.Addresses, gate.Guests = NewLadder(rate, 16, 1<<14), NewLadder(rate, 16, 1<<14)
	gate.Buyers, gate.Sales = NewLimiter(rate, 1<<14), NewLimiter(rate, 1<<14)
	random := rand.New(rand.NewPCG(1, 2))
	name := []byte("buyer-0123456789")
	before := heapInUse()
	for i := range visitors {
		client := v6(random.Uint64()>>16, random.Uint64())
		now := testNow + int64(i)*int64(10*time.Microsecond)
		_ = gate.Admit(AskOrder, client, now)
		_ = gate.Admit(AskGuest, client, now)
		binary.BigEndian.PutUint64(name[len(name)-8:], random.Uint64())
		_, _ = gate.Buyers.Allow(name, now)
		_, _ = gate.Sales.Allow(name, now)
	}
	if grown := heapInUse() - before; grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes over %d visitors, want none", grown, visitors)
	}
}
