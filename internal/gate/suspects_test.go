package gate

import (
	"maps"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestASuspicionIsExplainedAndCanBeUndone(t *testing.T) {
	g := &Gate{Suspicion: NewSuspicion(false, testNow)}
	metronome(g, "ann", time.Second, evenRun+3)
	metronome(g, "bot", time.Second, evenRun+1)
	last := try("bot", testNow+int64((evenRun+1)*time.Second))
	g.Challenges(last)
	g.Passed(last)
	g.Passed(try("nobody", testNow))
	line := Suspect{Sale: "s", Client: last.Client, Signals: 1 << Regular, First: testNow + int64(evenRun*time.Second)}
	ann, bot := line, line
	ann.Buyer, ann.Last, ann.Times = "ann", testNow+int64((evenRun+2)*time.Second), 3
	bot.Buyer, bot.Last, bot.Times, bot.Solved = "bot", last.Now, 2, 1
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff([]Suspect{ann, bot}, g.Suspects("s"), same); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if others := g.Suspects("other"); len(others) != 0 {
		t.Errorf("of another sale: %+v", others)
	}
	want := map[Signal]uint64{Regular: 5, Crowded: 0, Packed: 0, NoPage: 0, Headless: 0}
	if diff := cmp.Diff(want, maps.Collect(g.Suspicion.Counts())); diff != "" {
		t.Errorf("counts: -want +got\n%s", diff)
	}

	g.Lists.Post(entries(t, "allow buyer:bot"))
	if g.Challenges(last) {
		t.Error("an allowed buyer is suspect")
	}
	bot.Allowed = true
	if diff := cmp.Diff([]Suspect{ann, bot}, g.Suspects(""), same); diff != "" {
		t.Errorf("after bot was allowed: -want +got\n%s", diff)
	}
	g.Lists.Post(entries(t, "allow 203.0.113.0/24"))
	if metronome(g, "cid", time.Second, 40) {
		t.Error("a buyer at an allowed address is suspect")
	}
	g.Lists.Post(nil)
	if !g.Challenges(last) {
		t.Error("the lists are empty, and bot is no suspect")
	}
	if all := (&Gate{}).Suspects(""); all != nil {
		t.Errorf("a gate without suspicion suspects %v", all)
	}
}

func TestNoNumberOfBuyersMakesSuspicionTakeMoreMemory(t *testing.T) {
	g := &Gate{Suspicion: NewSuspicion(true, 1)}
	sizes := func() [4]int {
		s := g.Suspicion
		return [...]int{len(s.rhythms.slots), len(s.crowds.slots), len(s.pages.slots), len(s.headless.slots)}
	}
	before, keys := sizes(), 1_000_000
	if testing.Short() || raceEnabled {
		keys /= 20
	}
	for i := range keys {
		now := testNow + int64(i)*int64(time.Microsecond)
		a := try(strconv.Itoa(i), now)
		a.Client = netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		g.Suspicion.LookedAt(a.Client, now)
		g.Suspicion.Automated(a.Who.Buyer, now)
		g.judge(a)
		if a.Client = netip.AddrFrom4([4]byte{192, 0, 2, 1}); i%2 == 0 {
			g.judge(a) // no page, and what calls itself headless
		}
	}
	if after := sizes(); after != before || before != [...]int{rhythmSlots, crowdSlots, pageSlots, headlessSlots} {
		t.Errorf("slots %v, then %v", before, after)
	}
	all := g.Suspects("")
	if len(all) < SuspectsKept*9/10 || len(all) > SuspectsKept {
		t.Errorf("%d suspects are remembered, want about %d", len(all), SuspectsKept)
	}
	if newest := testNow + int64(keys-2)*int64(time.Microsecond); all[0].Last != newest {
		t.Errorf("the newest suspect is of %d, want %d", all[0].Last, newest)
	}
}

func TestSuspicionIsForManyAtOnce(t *testing.T) {
	g := &Gate{Suspicion: NewSuspicion(true, 1)}
	var callers sync.WaitGroup
	const each = 2000
	for caller := range 8 {
		callers.Go(func() {
			for i := range each {
				a := try("bot", testNow+int64(i))
				a.Key = []byte{byte(caller), byte(i), byte(i >> 8)}
				g.Suspicion.LookedAt(netip.AddrFrom4([4]byte{10, 0, byte(caller), byte(i)}), a.Now)
				g.Suspicion.Automated("bot", a.Now)
				if g.Challenges(a) {
					g.Passed(a)
				}
				if i%100 == 0 {
					g.Suspects("s")
				}
			}
		})
	}
	callers.Wait()
	all := g.Suspects("s")
	if len(all) != 1 || all[0].Times != all[0].Solved || all[0].Times < 7*each {
		t.Errorf("suspects %+v, want one with nearly %d decisions", all, 8*each)
	}
}

func TestSuspicionCostsNoMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g := &Gate{Suspicion: NewSuspicion(true, 1)}
	bot, ann := try("bot", testNow), try("ann", testNow)
	g.Suspicion.Automated("bot", testNow)
	g.Suspicion.LookedAt(ann.Client, testNow)
	bot.Client = netip.MustParseAddr("2001:db8::1")
	for a, want := range map[*Attempt]bool{bot: true, ann: false} {
		if n := testing.AllocsPerRun(1000, func() {
			if g.Challenges(a) != want {
				t.Fatalf("%s: want suspect %v", a.Who.Buyer, want)
			}
			g.Passed(a)
			g.Suspicion.Automated("cid", testNow)
			g.Suspicion.LookedAt(ann.Client, testNow)
		}); n > 0 {
			t.Errorf("%s: %v allocations, want none", a.Who.Buyer, n)
		}
	}
}
