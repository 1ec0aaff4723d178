package gate

import (
	"hash/maphash"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Rumor is what one node holds against a suspect since it first did. It tells the
// sums, not what was added: who hears it twice or late knows no more than before.
type Rumor struct {
	Node    uint64 // whose it is: another number at each start
	Suspect        // but for Allowed, which each node's lists say
}

// RumorsKept is how many rumors of all other nodes are remembered, those of the
// last decisions: a suspect who goes round among nodes has one of each. The table
// has 480 KiB; names have 770 more where all are as long as they may be.
const RumorsKept = 4 * SuspectsKept

// What a node tells at a time: so many suspects whose figures changed. They
// take turns: with the newest first, a steady stream of them would hide the
// rest. Every retellEvery times the node also tells again what it knows, from
// itself and from others, for nodes that missed it or have started since.
const (
	freshMax    = 32
	retoldMax   = 16 // of each table
	retellEvery = 5

	// RumorsMax is how many rumors there are at a time, at most.
	RumorsMax = freshMax + 2*retoldMax
)

// Join makes the node one of several, under a number that no other has. It comes
// before the first order.
func (s *Suspicion) Join(node uint64) { s.node, s.others = node, newSuspects(RumorsKept) }

// Rumors returns what is to be told to the other nodes now. The next call goes on
// from there, so there is one caller.
func (s *Suspicion) Rumors() []Rumor {
	rumors := s.own.walk(&s.rounds.fresh, freshMax, func(line *suspectLine) bool { return line.untold })
	if s.rounds.count++; s.rounds.count%retellEvery == 0 {
		all := func(*suspectLine) bool { return true }
		rumors = append(rumors, s.own.walk(&s.rounds.own, retoldMax, all)...)
		rumors = append(rumors, s.others.walk(&s.rounds.others, retoldMax, all)...)
	}
	return rumors
}

// rounds remembers where the next call of Rumors goes on.
type rounds struct {
	count              int
	fresh, own, others int // sets
}

// walk takes the rumors that are wanted, set by set from the given one on, and
// counts them as told. It ends where the next set might be too many, or after one
// round.
func (t suspects) walk(from *int, most int, wanted func(*suspectLine) bool) (rumors []Rumor) {
	for range t {
		if len(rumors)+setSlots > most {
			break
		}
		set := &t[*from]
		*from = (*from + 1) % len(t)
		set.Lock()
		for i := range set.lines {
			if line := &set.lines[i]; line.Times > 0 && wanted(line) {
				line.untold = false
				rumors = append(rumors, line.Rumor)
			}
		}
		set.Unlock()
	}
	return rumors
}

// Hear takes another node's word of a suspect. This node's own, which comes back
// from others, is passed over.
func (s *Suspicion) Hear(rumor Rumor) {
	if rumor.Node == s.node || rumor.Times == 0 || len(rumor.Buyer) > shop.BuyerMax || !shop.ValidSaleID(rumor.Sale) {
		return
	}
	set := s.others.set(s.suspectHash(rumor.Node, rumor.Sale, rumor.Buyer))
	set.Lock()
	defer set.Unlock()
	line, there := set.find(rumor.Node, rumor.Sale, rumor.Buyer)
	switch {
	case there && rumor.First == line.First:
		solved := max(line.Solved, rumor.Solved)
		if rumor.Times > line.Times {
			line.Rumor = rumor
		}
		line.Solved = solved
	case rumor.Last > line.Last: // than the oldest of others; or that node forgot, and began anew
		line.Rumor = rumor
	}
}

func (s *Suspicion) suspectHash(node uint64, sale, buyer string) uint64 {
	return maphash.String(s.seed, buyer) ^ maphash.String(s.seed, sale) ^ node
}
