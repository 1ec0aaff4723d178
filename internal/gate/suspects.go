package gate

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Suspect is what was held against a buyer in a sale: all decisions in one, so
// that a script that tries a thousand times hides nobody else.
type Suspect struct {
	Sale, Buyer string
	Client      netip.Addr // of the last decision
	Signals     Signals    // of the last decision
	First, Last int64      // decisions
	Times       uint64     // decisions: each time a challenge was asked for or judged
	Solved      uint64     // good solutions
	Allowed     bool       // the lists allow the buyer or the address by now: no more decisions
}

// SuspectsKept is how many suspects are remembered, in a table of 110 KiB: more
// than an operator reads.
const SuspectsKept = 1 << 10

// suspects are those whom the gate suspected last. There is a lock per set, held
// for a copy of a line: only suspects come here, and whoever reads.
type suspects struct {
	sets [SuspectsKept / setSlots]struct {
		sync.Mutex
		lines [setSlots]Suspect
	}
}

// judge notes an order, and reports whether its buyer is suspect. Who is on the
// allow list never is.
func (g *Gate) judge(a *Attempt) bool {
	if g.Suspicion == nil || g.allows(a.Who.Buyer, a.Client) {
		return false
	}
	signals := g.Suspicion.note(a)
	if signals.Score() < SuspectFrom {
		return false
	}
	for signal := range signals.All() {
		g.Suspicion.counts[signal].Add(1)
	}
	g.Suspicion.change(a, func(line *Suspect) {
		if line.Times == 0 {
			*line = Suspect{Sale: a.Sale.ID, Buyer: a.Who.Buyer, First: a.Now}
		}
		line.Client, line.Signals, line.Last = a.Client, signals, max(line.Last, a.Now)
		line.Times++
	})
	return true
}

func (g *Gate) allows(buyer string, client netip.Addr) bool {
	return g.Lists.buyer(buyer) == shop.Allow || g.Lists.Allows(client)
}

// Passed notes that a suspect has solved the challenge.
func (g *Gate) Passed(a *Attempt) {
	if g.Suspicion != nil && a.Sale.Challenge == shop.ChallengeSuspicious {
		g.Suspicion.change(a, func(line *Suspect) {
			if line.Times > 0 {
				line.Solved++
			}
		})
	}
}

// Suspects returns whom the gate suspected last, of one sale or, for "", of all:
// the newest first.
func (g *Gate) Suspects(sale string) (all []Suspect) {
	if g.Suspicion == nil {
		return nil
	}
	for i := range g.Suspicion.suspects.sets {
		set := &g.Suspicion.suspects.sets[i]
		set.Lock()
		lines := set.lines
		set.Unlock()
		for _, line := range lines {
			if line.Times > 0 && (sale == "" || line.Sale == sale) {
				line.Allowed = g.allows(line.Buyer, line.Client)
				all = append(all, line)
			}
		}
	}
	slices.SortFunc(all, func(a, b Suspect) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(a.Sale, b.Sale), cmp.Compare(a.Buyer, b.Buyer))
	})
	return all
}

// change changes the line of the attempt's buyer and sale. One that is not there
// is empty, in the place of the oldest of its set.
func (s *Suspicion) change(a *Attempt, to func(line *Suspect)) {
	hash := maphash.String(s.seed, a.Who.Buyer) ^ maphash.String(s.seed, a.Sale.ID)
	set := &s.suspects.sets[hash%uint64(len(s.suspects.sets))]
	set.Lock()
	defer set.Unlock()
	oldest := &set.lines[0]
	for i := range set.lines {
		line := &set.lines[i]
		if line.Buyer == a.Who.Buyer && line.Sale == a.Sale.ID && line.Times > 0 {
			to(line)
			return
		}
		if line.Last < oldest.Last {
			oldest = line
		}
	}
	before := *oldest
	*oldest = Suspect{}
	if to(oldest); oldest.Times == 0 {
		*oldest = before // there was nothing to change
	}
}
