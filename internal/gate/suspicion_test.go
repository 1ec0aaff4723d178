package gate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// try is an order under a key that nobody had yet, from one address.
func try(buyer string, now int64) *Attempt {
	return &Attempt{
		Who: Identity{Buyer: buyer}, Sale: &shop.Sale{ID: "s", Challenge: shop.ChallengeSuspicious},
		Key: strconv.AppendInt(nil, now, 36), Client: netip.MustParseAddr("203.0.113.9"), Now: now,
	}
}

// metronome orders once per gap, from testNow on, and reports whether the last
// order was suspect. It bears no keys: with keys, chance has a beat missed.
func metronome(g *Gate, buyer string, gap time.Duration, orders int) (suspect bool) {
	for i := range orders {
		a := try(buyer, testNow+int64(i)*int64(gap))
		a.Key = nil
		suspect = g.Challenges(a)
	}
	return suspect
}

// signalsOf is what the gate holds against each of a sequence of orders.
func signalsOf(s *Suspicion, orders []*Attempt) (all []Signals) {
	for _, a := range orders {
		all = append(all, s.note(a))
	}
	return all
}

func names(signals Signals) (all []string) {
	for signal := range signals.All() {
		all = append(all, signal.String())
	}
	return all
}

func (s Signals) has(signal Signal) bool { return s&(1<<signal) != 0 }

func TestAMetronomeIsRegularAtAnyPace(t *testing.T) {
	for _, gap := range []time.Duration{0, time.Millisecond, 45 * time.Millisecond, 200 * time.Millisecond, time.Second, 16 * time.Second} {
		g := &Gate{Suspicion: NewSuspicion(false, testNow)}
		if !metronome(g, "bot", gap, 40) {
			t.Errorf("an order every %s is not suspect", gap)
		}
		if early := (&Gate{Suspicion: NewSuspicion(false, testNow)}); metronome(early, "bot", gap, evenRun) {
			t.Errorf("%d orders, one every %s, are suspect; want more of them to be sure", evenRun, gap)
		}
	}
	if g := (&Gate{Suspicion: NewSuspicion(false, testNow)}); metronome(g, "bot", 17*time.Second, 40) {
		t.Error("an order every 17 s is suspect: that is no hurry")
	}
}

// A timer of a script is late by some milliseconds, each time by others.
func TestAMetronomeOnABusyMachineIsRegular(t *testing.T) {
	random, s := rand.New(rand.NewPCG(1, 2)), NewSuspicion(false, testNow)
	caught, now := 0, testNow
	for range 100 {
		now += int64(time.Second) + random.Int64N(int64(20*time.Millisecond))
		if s.note(try("bot", now)).has(Regular) {
			caught++
		}
	}
	if caught < 50 {
		t.Errorf("%d of 100 orders were regular, want most", caught)
	}
}

// people press, wait, press: gaps from a tenth of a second to some, and those
// who hammer the button press it about once a second.
func people(random *rand.Rand, hammers bool) (gaps []int64) {
	for range 20 {
		gap := 0.1 + random.ExpFloat64()*2
		if hammers {
			gap = max(0.3, 1+0.15*random.NormFloat64())
		}
		gaps = append(gaps, int64(gap*float64(time.Second)))
	}
	return gaps
}

func TestPeopleAreNotRegular(t *testing.T) {
	random, s, taken := rand.New(rand.NewPCG(3, 4)), NewSuspicion(false, testNow), map[int]bool{}
	for person := range 20_000 {
		now := testNow
		for i, gap := range people(random, person%2 == 0) {
			now += gap
			a := try(fmt.Sprint("person", person), now)
			a.Client = netip.AddrFrom4([4]byte{10, byte(person >> 16), byte(person >> 8), byte(person)})
			if signals := s.note(a); signals != 0 {
				taken[person] = true
				t.Logf("person %d, order %d: %v", person, i, names(signals))
			}
		}
	}
	if len(taken) > 4 { // chance has one of those who hammer keep time, now and then
		t.Errorf("%d of 20,000 people are taken for a script after 20 orders each, want next to none", len(taken))
	}
}

// The page asks again under the same key at a pace of its own, which is even.
func TestAPageThatAsksAgainIsNotRegular(t *testing.T) {
	s := NewSuspicion(false, testNow)
	for i := range 40 {
		a := try("ann", testNow+int64(i)*int64(time.Second))
		a.Key = []byte("one")
		if signals := s.note(a); signals != 0 {
			t.Fatalf("repeat %d: %v", i, names(signals))
		}
	}
}

func TestARhythmEndsWithAPause(t *testing.T) {
	g := &Gate{Suspicion: NewSuspicion(false, testNow)}
	if !metronome(g, "bot", time.Second, 40) {
		t.Fatal("40 orders, one a second, are not suspect")
	}
	again := try("bot", testNow+int64(40*time.Second))
	if !g.Challenges(again) {
		t.Error("the next order is not suspect")
	}
	if again.Now += int64(8 * time.Second); !g.Challenges(again) {
		t.Error("the suspect's solution comes after 8 s, and nobody wants it")
	}
	if again.Now += int64(20 * time.Second); g.Challenges(again) {
		t.Error("28 s later the same order is suspect still")
	}
	if g.Challenges(try("bot", again.Now+int64(time.Second))) {
		t.Error("a new order after a pause is suspect")
	}
}

// crowd has so many buyers order once behind one address, over a time.
func crowd(buyers int, over time.Duration) (orders []*Attempt) {
	random, start := rand.New(rand.NewPCG(5, 6)), testNow-testNow%int64(time.Hour)
	for i := range buyers {
		orders = append(orders, try(fmt.Sprint("buyer", i), start+random.Int64N(int64(over))))
	}
	slices.SortFunc(orders, func(a, b *Attempt) int { return int(a.Now - b.Now) })
	return orders
}

// The counts are estimates: the cases leave room for all that chance does to
// them once in a million runs.
func TestACrowdBehindOneAddressIsSeen(t *testing.T) {
	for _, c := range []struct {
		buyers int
		over   time.Duration
		want   Signals // of the last one
	}{
		{12, time.Second, 0},
		{200, time.Hour, 0},
		{65, time.Second, 1 << Crowded},
		{65, 59 * time.Second, 1 << Crowded},
		{400, time.Second, 1<<Crowded | 1<<Packed},
	} {
		s := NewSuspicion(false, testNow)
		all := signalsOf(s, crowd(c.buyers, c.over))
		got := all[len(all)-1]
		if c.want == 1<<Crowded {
			got &^= 1 << Packed // 65 look like 100 once in 50 runs
		}
		if got != c.want {
			t.Errorf("%d buyers in %s: %v, want %v", c.buyers, c.over, names(got), names(c.want))
		}
		other := try("neighbour", testNow)
		other.Client = netip.MustParseAddr("203.0.113.10")
		if got := s.note(other); got != 0 {
			t.Errorf("the address beside %d buyers in %s: %v, want nothing", c.buyers, c.over, names(got))
		}
	}
}

func TestACrowdIsForgottenWithItsMinute(t *testing.T) {
	s := NewSuspicion(false, testNow)
	orders := crowd(400, time.Second)
	signalsOf(s, orders)
	if got := s.note(try("late", orders[0].Now+int64(time.Minute))); got != 0 {
		t.Errorf("a minute later: %v, want nothing", names(got))
	}
}

// One buyer who tries a thousand times is no crowd.
func TestOneBuyerIsNoCrowd(t *testing.T) {
	s, random, now := NewSuspicion(false, testNow), rand.New(rand.NewPCG(7, 8)), testNow
	for range 1000 {
		now += random.Int64N(int64(100 * time.Millisecond))
		if got := s.note(try("ann", now)); got.has(Crowded) {
			t.Fatal("crowded by one")
		}
	}
}

func TestWhoSawNoPageIsKnownWhereTheNodeGivesThem(t *testing.T) {
	later, soon := testNow+int64(sightFor), testNow+int64(sightFor)-1
	seen, mate := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2:7")
	for _, c := range []struct {
		name   string
		pages  bool
		client netip.Addr
		now    int64
		want   bool
	}{
		{"elsewhere given", false, seen, later, false},
		{"never looked", true, netip.MustParseAddr("2001:db8:1::1"), later, true},
		{"never looked, but the node is new", true, netip.MustParseAddr("2001:db8:1::1"), soon, false},
		{"looked", true, seen, later, false},
		{"another address of the line", true, mate, later, false},
		{"looked too long ago", true, seen, later + int64(2*time.Minute), true},
	} {
		s := NewSuspicion(c.pages, testNow)
		s.LookedAt(seen, testNow+int64(time.Minute))
		a := try("ann", c.now)
		if a.Client = c.client; s.note(a).has(NoPage) != c.want {
			t.Errorf("%s: %v, want %v", c.name, !c.want, c.want)
		}
	}
}

func TestABrowserThatSaysWhatItIsIsBelievedForAWhile(t *testing.T) {
	s := NewSuspicion(false, testNow)
	s.Automated("bot", testNow)
	for after, want := range map[time.Duration]bool{0: true, sightFor: true, sightFor + time.Second: false} {
		if got := s.note(try("bot", testNow+int64(after))).has(Headless); got != want {
			t.Errorf("%s later: %v, want %v", after, got, want)
		}
	}
	if s.note(try("ann", testNow)).has(Headless) {
		t.Error("another buyer is taken for it")
	}
}

func TestTheScoreMakesASuspect(t *testing.T) {
	for want, signals := range map[bool][]Signals{
		false: {0, 1 << Crowded, 1 << NoPage, 1 << Headless},
		true: {
			1 << Regular, 1<<Crowded | 1<<NoPage, 1<<Crowded | 1<<Packed, 1<<NoPage | 1<<Headless,
			1<<Crowded | 1<<Headless, 1<<signalCount - 1,
		},
	} {
		for _, s := range signals {
			if got := s.Score() >= SuspectFrom; got != want {
				t.Errorf("%v: score %d, suspect %v, want %v", names(s), s.Score(), got, want)
			}
		}
	}
	if all := names(1<<signalCount - 1); !slices.Equal(all, []string{"regular", "crowded", "packed", "no_page", "headless"}) {
		t.Errorf("signals are called %v", all)
	}
}

// BenchmarkGateSuspects is what it costs to judge an order of a sale whose
// challenge is for suspects.
func BenchmarkGateSuspects(b *testing.B) {
	for name, pages := range map[string]bool{"nobody": false, "who-saw-no-page": true} {
		b.Run(name, func(b *testing.B) {
			g := &Gate{Suspicion: NewSuspicion(pages, 1)}
			g.Lists.Post(entries(b, "block 198.51.100.0/24", "allow 10.0.0.0/8"))
			a := try("ada", testNow)
			g.Suspicion.Automated("ada", testNow)
			b.ReportAllocs()
			for b.Loop() {
				if a.Key[0]++; g.Challenges(a) != pages {
					a.Now += int64(17 * time.Second) // a new rhythm
				}
			}
		})
	}
}
