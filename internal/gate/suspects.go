package gate

import (
	"cmp"
	"iter"
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

// SuspectsKept is how many suspects of its own a node remembers, in a table of
// 120 KiB: more than an operator reads.
const SuspectsKept = 1 << 10

// suspects are those whom a node suspected last. There is a lock per set, held
// for a copy of a line: only suspects come here, and whoever reads.
type suspects []suspectSet

type suspectSet struct {
	sync.Mutex
	lines [setSlots]suspectLine
}

// suspectLine is a place in the table. Times is 0 where it is vacant.
type suspectLine struct {
	Rumor
	untold bool // something changed since the other nodes were told
}

func newSuspects(kept int) suspects { return make(suspects, kept/setSlots) }

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
	g.Suspicion.decided(a, signals)
	return true
}

func (g *Gate) allows(buyer string, client netip.Addr) bool {
	return g.Lists.buyer(buyer) == shop.Allow || g.Lists.Allows(client)
}

// Passed notes that a suspect has solved the challenge.
func (g *Gate) Passed(a *Attempt) {
	if g.Suspicion != nil && a.Sale.Challenge == shop.ChallengeSuspicious {
		g.Suspicion.solved(a)
	}
}

// Suspects returns whom the gate suspected last, of one sale or, for "", of all:
// the newest first. What other nodes told is in it.
func (g *Gate) Suspects(sale string) (all []Suspect) {
	if g.Suspicion == nil {
		return nil
	}
	type whom struct{ sale, buyer string }
	places := map[whom]int{} // in all
	for _, table := range []suspects{g.Suspicion.own, g.Suspicion.others} {
		for suspect := range table.all() {
			if sale != "" && suspect.Sale != sale {
				continue
			}
			of := whom{suspect.Sale, suspect.Buyer}
			if at, there := places[of]; there {
				all[at].add(suspect)
				continue
			}
			places[of] = len(all)
			all = append(all, *suspect)
		}
	}
	for i := range all {
		all[i].Allowed = g.allows(all[i].Buyer, all[i].Client)
	}
	slices.SortFunc(all, func(a, b Suspect) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(a.Sale, b.Sale), cmp.Compare(a.Buyer, b.Buyer))
	})
	return all
}

// add adds what another node, or the same one in an earlier life, holds against
// the same buyer.
func (s *Suspect) add(more *Suspect) {
	sum := *s
	if more.Last > s.Last {
		sum = *more
	}
	sum.First, sum.Times, sum.Solved = min(s.First, more.First), s.Times+more.Times, s.Solved+more.Solved
	*s = sum
}

// decided notes a decision against an order.
func (s *Suspicion) decided(a *Attempt, signals Signals) {
	set := s.own.set(s.suspectHash(s.node, a.Sale.ID, a.Who.Buyer))
	set.Lock()
	defer set.Unlock()
	line, there := set.find(s.node, a.Sale.ID, a.Who.Buyer)
	if !there {
		line.Rumor = Rumor{Node: s.node, Suspect: Suspect{Sale: a.Sale.ID, Buyer: a.Who.Buyer, First: a.Now}}
	}
	line.Client, line.Signals, line.Last = a.Client, signals, max(line.Last, a.Now)
	line.Times++
	line.untold = true
}

// solved notes a good solution, if it is a suspect's.
func (s *Suspicion) solved(a *Attempt) {
	set := s.own.set(s.suspectHash(s.node, a.Sale.ID, a.Who.Buyer))
	set.Lock()
	defer set.Unlock()
	if line, there := set.find(s.node, a.Sale.ID, a.Who.Buyer); there {
		line.Solved++
		line.untold = true
	}
}

func (t suspects) set(hash uint64) *suspectSet { return &t[hash%uint64(len(t))] }

// find returns the line in which a node's word of a suspect stands, else the
// oldest, which can best be spared. The set is locked.
func (set *suspectSet) find(node uint64, sale, buyer string) (found *suspectLine, there bool) {
	oldest := &set.lines[0]
	for i := range set.lines {
		line := &set.lines[i]
		if line.Buyer == buyer && line.Sale == sale && line.Node == node && line.Times > 0 {
			return line, true
		}
		if line.Last < oldest.Last {
			oldest = line
		}
	}
	return oldest, false
}

// all returns what stands in the table, as it was when each set was looked at.
func (t suspects) all() iter.Seq[*Suspect] {
	return func(yield func(*Suspect) bool) {
		for i := range t {
			lines := t[i].copy()
			for j := range lines {
				if lines[j].Times > 0 && !yield(&lines[j].Suspect) {
					return
				}
			}
		}
	}
}

func (set *suspectSet) copy() [setSlots]suspectLine {
	set.Lock()
	defer set.Unlock()
	return set.lines
}
