package gate

import (
	"errors"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func newGate(t testing.TB, addresses, buyers Rate) *Gate {
	t.Helper()
	return &Gate{
		Proxies:   mustProxies(t, "10.0.0.0/8"),
		Addresses: NewLadder(addresses, 0, 1<<10),
		Buyers:    NewLimiter(buyers, 1<<10),
		Tokens:    newVerifier(t, nil),
	}
}

func TestTheGateRefusesAndCountsWhy(t *testing.T) {
	gate := newGate(t, Rate{PerSecond: 0.5, Burst: 3}, Rate{PerSecond: 1, Burst: 2})
	client := gate.Client(netip.MustParseAddr("10.0.0.1"), lines("203.0.113.9"))
	guest := []byte("Bearer " + mustSign(t, Identity{Buyer: "guest-1", Sale: "retro-85"}, time.Hour))

	var who Identity
	for _, step := range []struct {
		name   string
		do     func() error
		want   shop.Code
		within time.Duration
	}{
		{"the first request", func() error { return gate.Admit(AskOrder, client, testNow) }, "", 0},
		{"the second", func() error { return gate.Admit(AskOrder, client, testNow) }, "", 0},
		{"the third", func() error { return gate.Admit(AskOrder, client, testNow) }, "", 0},
		{"the fourth", func() error { return gate.Admit(AskOrder, client, testNow) }, shop.TooManyRequests, 2 * time.Second},
		{"another address", func() error { return gate.Admit(AskOrder, netip.MustParseAddr("203.0.113.8"), testNow) }, "", 0},
		{"a good token", func() (err error) { who, err = gate.Identify(guest, testNow); return err }, "", 0},
		{"a bad token", func() error { _, err := gate.Identify(guest[:50], testNow); return err }, shop.Unauthorized, 0},
		{"no token", func() error { _, err := gate.Identify(nil, testNow); return err }, shop.Unauthorized, 0},
		{"a guest's first order", func() error { return gate.AdmitBuyer(who, "retro-85", false, testNow) }, "", 0},
		{"a guest in another sale", func() error { return gate.AdmitBuyer(who, "other", false, testNow) }, shop.Forbidden, 0},
		{"a guest's second order", func() error { return gate.AdmitBuyer(who, "retro-85", false, testNow) }, "", 0},
		{"a guest's third order", func() error { return gate.AdmitBuyer(who, "retro-85", false, testNow) }, shop.TooManyRequests, time.Second},
		{"another buyer, any sale", func() error { return gate.AdmitBuyer(Identity{Buyer: "ada"}, "other", false, testNow) }, "", 0},
	} {
		err := step.do()
		no, _ := errors.AsType[shop.Refusal](err)
		if (err == nil) != (step.want == "") || no.Code != step.want || no.RetryAfter != step.within {
			t.Errorf("%s: %v after %s, want %q after %s", step.name, err, no.RetryAfter, step.want, step.within)
		}
	}

	want := map[Reason]uint64{
		AddressLimit: 1, BadToken: 2, OtherSale: 1, BuyerLimit: 1,
		NetworkLimit: 0, GuestLimit: 0, SaleLimit: 0, BlockedAddress: 0, BlockedBuyer: 0, SharedLimit: 0, BuyerWaiting: 0, AddressWaiting: 0,
		Unsolved: 0,
	}
	if diff := cmp.Diff(want, maps.Collect(gate.Counts.All())); diff != "" {
		t.Errorf("counts: -want +got\n%s", diff)
	}
}

func TestWhatStrangersHearIsKnownBeforehand(t *testing.T) {
	gate := newGate(t, Rate{PerSecond: 1, Burst: 1}, Rate{})
	client := netip.MustParseAddr("203.0.113.9")
	_ = gate.Admit(AskOrder, client, testNow) // spends the limit
	crowd, nobody, _ := Strangers()
	crowd.RetryAfter = time.Second
	_, stranger := gate.Identify(nil, testNow)
	for want, err := range map[*shop.Refusal]error{&crowd: gate.Admit(AskOrder, client, testNow), &nobody: stranger} {
		got, _ := errors.AsType[shop.Refusal](err)
		if diff := cmp.Diff(*want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

func TestEveryReasonHasItsName(t *testing.T) {
	names := map[string]bool{}
	for reason := range (&Counts{}).All() {
		names[reason.String()] = true
	}
	if len(names) != reasonCount || names["unknown"] {
		t.Errorf("names are %v, want %d different ones", names, reasonCount)
	}
	if got := Reason(reasonCount).String(); got != "unknown" {
		t.Errorf("a reason that is none is %q, want unknown", got)
	}
}

func TestRefusingAtTheGateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and drops what pools hold")
	}
	gate := newGate(t, Rate{}, Rate{PerSecond: 1, Burst: 1})
	gate.Addresses, gate.Sales = NewLadder(Rate{PerSecond: 1, Burst: 1}, 1, 64), NewLimiter(Rate{PerSecond: 1, Burst: 1}, 64)
	gate.Lists.Post(entries(t, "block 2001:db8:1::/48", "allow 10.0.0.1", "block buyer:bot"))
	peer, forwarded := netip.MustParseAddr("10.0.0.1"), lines("1.1.1.1, 2001:db8::1")
	neighbour, blocked := netip.MustParseAddr("2001:db8:0:1::1"), netip.MustParseAddr("2001:db8:1::1").As16()
	bad := []byte("Bearer " + forge([]byte("wrong"), plainHeader, goodPayload))
	guest := Identity{Buyer: "guest-1", Sale: "retro-85"}
	var refused int
	allocs := testing.AllocsPerRun(100, func() {
		_, err := gate.Identify(bad, testNow)
		for _, err := range [...]error{
			err,
			gate.Admit(AskOrder, gate.Client(peer, forwarded), testNow),
			gate.Admit(AskOrder, neighbour, testNow),
			gate.Admit(AskRead, netip.AddrFrom16(blocked), testNow),
			gate.AdmitBuyer(Identity{Buyer: "bot"}, "retro-85", false, testNow),
			gate.AdmitBuyer(guest, "retro-85", false, testNow),
			gate.AdmitBuyer(guest, "other", false, testNow),
		} {
			if err != nil {
				refused++
			}
		}
	})
	if allocs != 0 || refused < 700 {
		t.Errorf("%v allocations over %d refusals, want 0 over 700 or more", allocs, refused)
	}
}

// The row G1: the gate's decision without the token.
func BenchmarkGateRefuses(b *testing.B) {
	gate := newGate(b, Rate{}, Rate{PerSecond: 1, Burst: 1})
	gate.Addresses = NewLadder(Rate{PerSecond: 0.01, Burst: 1}, 16, LimiterSlots)
	gate.Lists.Post(entries(b, "block 198.51.100.0/24", "allow 10.0.0.0/8"))
	peer := netip.MustParseAddr("203.0.113.9")
	if err := gate.Admit(AskOrder, peer, testNow); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if gate.Admit(AskOrder, gate.Client(peer, nil), testNow) == nil {
			b.Fatal("allowed")
		}
	}
}

func BenchmarkGateAdmits(b *testing.B) {
	gate := newGate(b, Rate{}, Rate{PerSecond: rateMax, Burst: 100})
	gate.Addresses, gate.Sales = NewLadder(Rate{PerSecond: rateMax, Burst: 100}, 16, LimiterSlots), NewLimiter(Rate{PerSecond: rateMax, Burst: 100}, LimiterSlots)
	gate.Lists.Post(entries(b, "block 198.51.100.0/24", "allow 10.0.0.0/8"))
	peer := netip.MustParseAddr("203.0.113.9")
	header := []byte("Bearer " + mustSign(b, Identity{Buyer: "ada"}, time.Hour))
	now := testNow
	b.ReportAllocs()
	for b.Loop() {
		now += int64(10 * time.Microsecond)
		if err := gate.Admit(AskOrder, gate.Client(peer, nil), now); err != nil {
			b.Fatal(err)
		}
		who, err := gate.Identify(header, testNow)
		if err != nil {
			b.Fatal(err)
		}
		if err := gate.AdmitBuyer(who, "retro-85", false, now); err != nil {
			b.Fatal(err)
		}
	}
}
