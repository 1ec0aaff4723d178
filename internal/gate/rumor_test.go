package gate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// member is the gate of one of several nodes.
func member(node uint64) *Gate {
	g := &Gate{Suspicion: NewSuspicion(false, testNow)}
	g.Suspicion.Join(node)
	return g
}

// suspect has a gate decide so many times against a buyer, from a second on.
func suspect(g *Gate, buyer string, second, times int) {
	for i := range times {
		g.Suspicion.decided(try(buyer, testNow+int64(second+i)*int64(time.Second)), 1<<Regular)
	}
}

// tell has everybody hear what a gate says now.
func tell(from *Gate, to ...*Gate) (told int) {
	rumors := from.Suspicion.Rumors()
	for _, rumor := range rumors {
		for _, g := range to {
			g.Suspicion.Hear(rumor)
		}
	}
	return len(rumors)
}

func sameAddress(a, b netip.Addr) bool { return a == b }

func wantSuspects(t *testing.T, g *Gate, want ...Suspect) {
	t.Helper()
	if diff := cmp.Diff(want, g.Suspects(""), cmp.Comparer(sameAddress)); diff != "" {
		t.Errorf("node %d: -want +got\n%s", g.Suspicion.node, diff)
	}
}

func TestASuspectOfSeveralNodesIsOneRowAtEach(t *testing.T) {
	a, b, c := member(1), member(2), member(3)
	suspect(a, "bot", 0, 5)
	suspect(b, "bot", 10, 3)
	at := try("bot", testNow+int64(7*time.Second))
	at.Client = netip.MustParseAddr("198.51.100.7")
	c.Suspicion.decided(at, 1<<Crowded|1<<Packed)
	c.Suspicion.solved(at)
	a.Suspicion.solved(at)
	last := try("bot", testNow+int64(12*time.Second))
	bot := Suspect{
		Sale: "s", Buyer: "bot", Client: last.Client, Signals: 1 << Regular,
		First: testNow, Last: last.Now, Times: 9, Solved: 2,
	}
	all := []*Gate{a, b, c}
	for _, g := range all {
		tell(g, all...)
	}
	for _, g := range all {
		wantSuspects(t, g, bot)
		if n := tell(g, all...); n > 0 {
			t.Errorf("%d rumors, though nothing has changed", n)
		}
	}
	b.Suspicion.solved(last) // figures that grew, of a decision that is known
	tell(b, all...)
	bot.Solved++
	a.Lists.Post(entries(t, "allow buyer:bot"))
	c.Lists.Post(entries(t, "allow 203.0.113.0/24")) // the address of the last decision, which is b's
	wantSuspects(t, b, bot)
	bot.Allowed = true
	wantSuspects(t, a, bot)
	wantSuspects(t, c, bot)
}

// However often, late and in whatever order rumors come, of the node that has
// them or by way of another: each node ends with the same figures.
func TestRumorsMayComeTwiceLateAndInAnyOrder(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		nodes := []*Gate{member(1), member(2), member(3)}
		var line []Rumor
		for second := range 400 {
			at := nodes[random.IntN(len(nodes))]
			buyer := "bot-" + strconv.Itoa(random.IntN(10))
			if suspect(at, buyer, second, 1); random.IntN(2) == 0 {
				at.Suspicion.solved(try(buyer, testNow))
			}
			line = append(line, at.Suspicion.Rumors()...)
			for range random.IntN(3) {
				nodes[random.IntN(len(nodes))].Suspicion.Hear(line[random.IntN(len(line))])
			}
		}
		for _, g := range nodes {
			line = append(line, g.Suspicion.Rumors()...)
		}
		line = append(line, line...)
		random.Shuffle(len(line), func(i, j int) { line[i], line[j] = line[j], line[i] })
		times := uint64(0)
		for _, g := range nodes {
			for _, rumor := range line {
				g.Suspicion.Hear(rumor)
			}
			wantSuspects(t, g, nodes[0].Suspects("")...)
		}
		for _, s := range nodes[0].Suspects("") {
			times += s.Times
		}
		if times != 400 {
			t.Errorf("seed %d: %d decisions, want 400", seed, times)
		}
	}
}

func TestANodeThatForgotASuspectBeginsAnewAtTheOthersToo(t *testing.T) {
	a, b := member(1), member(2)
	suspect(a, "bot", 0, 31)
	old := a.Suspicion.Rumors()
	a.Suspicion.own = newSuspects(SuspectsKept) // others took its place
	suspect(a, "bot", 100, 2)
	for _, rumor := range slices.Concat(old, a.Suspicion.Rumors(), old) {
		b.Suspicion.Hear(rumor)
	}
	wantSuspects(t, b, a.Suspects("")...)
	if got := b.Suspects("")[0].Times; got != 2 {
		t.Errorf("%d decisions, want the 2 that their node knows of", got)
	}
}

func TestWhoMissedARumorOrStartsAgainHearsItInTime(t *testing.T) {
	a, b := member(1), member(2)
	suspect(a, "bot", 0, 3)
	suspect(a, "ann", 5, 1)
	tell(a) // nobody hears
	for range retellEvery {
		tell(a, b)
	}
	wantSuspects(t, b, a.Suspects("")...)
	again := member(3) // a, after a restart
	for range retellEvery {
		tell(b, again)
	}
	wantSuspects(t, again, a.Suspects("")...)
	suspect(again, "bot", 20, 1)
	tell(again, b)
	if got := b.Suspects("")[0]; got.Buyer != "bot" || got.Times != 4 || got.First != testNow {
		t.Errorf("after a restart and one decision more: %+v, want 4 from the beginning", got)
	}
}

func TestAFloodOfSuspectsMakesRumorsNoLonger(t *testing.T) {
	a, b := member(1), member(2)
	const flood = 20 * SuspectsKept
	for i := range flood {
		if suspect(a, "bot-"+strconv.Itoa(i), i, 1); i%SuspectsKept == 0 {
			if n := tell(a, b); n == 0 || n > RumorsMax {
				t.Fatalf("%d rumors at a time, want 1 to %d", n, RumorsMax)
			}
		}
	}
	unknown := func() (n int) {
		known := b.Suspects("")
		for _, s := range a.Suspects("") {
			if !slices.Contains(known, s) {
				n++
			}
		}
		return n
	}
	const calls = SuspectsKept/(freshMax-setSlots) + 1
	for range calls {
		if n := tell(a, b); n > RumorsMax {
			t.Fatalf("%d rumors at a time, want at most %d", n, RumorsMax)
		}
	}
	// One set of the other's table holds eight: of a thousand that fall on 512 at
	// random, one or another finds no place.
	if n := unknown(); n > SuspectsKept/100 {
		t.Errorf("after %d calls %d of %d are not known elsewhere", calls, n, len(a.Suspects("")))
	}

	// Many who stay suspect, always in the same order: each has a turn.
	c := member(3)
	for round := range 10 {
		for i := range 4 * freshMax {
			suspect(a, "steady-"+strconv.Itoa(i), flood+round, 1)
		}
		tell(a, c)
	}
	if got := len(c.Suspects("")); got < 4*freshMax {
		t.Errorf("of %d suspects that go on, %d are known elsewhere", 4*freshMax, got)
	}
}

func TestNoNumberOfRumorsTakesMoreMemory(t *testing.T) {
	g := member(1)
	suspect(g, "own", 0, 1)
	line := Rumor{Suspect: Suspect{Sale: "s", First: testNow, Times: 1}}
	const many = 20 * RumorsKept
	for i := range many {
		line.Node, line.Buyer, line.Last = uint64(2+i%7), "bot-"+strconv.Itoa(i/2), testNow+int64(i)
		g.Suspicion.Hear(line)
	}
	all := g.Suspects("")
	if len(g.Suspicion.others)*setSlots != RumorsKept || len(all) < RumorsKept/2*8/10 || len(all) > RumorsKept+1 {
		t.Errorf("%d suspects, in %d places", len(all), len(g.Suspicion.others)*setSlots)
	}
	if all[0].Last != testNow+many-1 || !slices.ContainsFunc(all, func(s Suspect) bool { return s.Buyer == "own" }) {
		t.Errorf("the newest is of %d, want %d, and this node's own stays", all[0].Last, testNow+many-1)
	}
	line.Last = testNow // older than all others: it takes no place of theirs
	for i := range many {
		line.Buyer = "old-" + strconv.Itoa(i)
		g.Suspicion.Hear(line)
	}
	if diff := cmp.Diff(all, g.Suspects(""), cmp.Comparer(sameAddress)); diff != "" {
		t.Errorf("old rumors changed what newer ones say: -before +after\n%s", diff)
	}
}

func TestARumorThatNoNodeTellsIsPassedOver(t *testing.T) {
	good := Rumor{Node: 2, Suspect: Suspect{Sale: "s", Buyer: "bot", First: 1, Last: 2, Times: 1}}
	for name, change := range map[string]func(*Rumor){
		"its own":      func(r *Rumor) { r.Node = 1 },
		"no decision":  func(r *Rumor) { r.Times = 0 },
		"a long buyer": func(r *Rumor) { r.Buyer = strings.Repeat("b", shop.BuyerMax+1) },
		"a long sale":  func(r *Rumor) { r.Sale = strings.Repeat("s", 64) },
		"no time":      func(r *Rumor) { r.Last = 0 },
	} {
		g, bad := member(1), good
		change(&bad)
		if g.Suspicion.Hear(bad); len(g.Suspects("")) > 0 {
			t.Errorf("%s is believed", name)
		}
		if g.Suspicion.Hear(good); len(g.Suspects("")) != 1 {
			t.Errorf("%s: what is good is not believed", name)
		}
	}
}

func TestRumorsAreForManyAtOnce(t *testing.T) {
	a, b := member(1), member(2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 2000 {
			at := try(fmt.Sprint("bot-", i%50), testNow+int64(i))
			a.Suspicion.decided(at, 1<<Regular)
			a.Suspicion.solved(at)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		tell(a, b)
		b.Suspects("s")
	}
	for range 2 * retellEvery {
		tell(a, b)
	}
	wantSuspects(t, b, a.Suspects("")...)
}
