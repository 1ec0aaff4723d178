package gate

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Signal is one thing that speaks against an order: a closed set, fit for metric
// labels. None of them proves anything: they decide who solves a challenge, never
// who is turned away.
type Signal uint8

// The signals.
const (
	Regular  Signal = iota // the buyer's orders come at even intervals
	Crowded                // about 30 buyers behind one address within a minute
	Packed                 // about 100
	NoPage                 // nobody behind the address looked at a page before
	Headless               // the buyer's browser says that a program steers it
)

// signalCount is how many signals there are.
const signalCount = int(Headless) + 1

func (s Signal) String() string {
	switch s {
	case Regular:
		return "regular"
	case Crowded:
		return "crowded"
	case Packed:
		return "packed"
	case NoPage:
		return "no_page"
	case Headless:
		return "headless"
	}
	return "unknown"
}

// SuspectFrom is the score that makes a suspect: of the signals that people can
// give without knowing, one is not enough.
const SuspectFrom = 2

// weight is how much a signal adds to the score. An even rhythm weighs double:
// nobody's fingers keep it for eight orders.
func (s Signal) weight() int {
	if s == Regular {
		return 2
	}
	return 1
}

// Signals are those that one order gave.
type Signals uint8

// All returns each of them.
func (s Signals) All() iter.Seq[Signal] {
	return func(yield func(Signal) bool) {
		for signal := Signal(0); int(signal) < signalCount; signal++ {
			if s&(1<<signal) != 0 && !yield(signal) {
				return
			}
		}
	}
}

// Score is the sum of their weights.
func (s Signals) Score() (score int) {
	for signal := range s.All() {
		score += signal.weight()
	}
	return score
}

func (s *Signals) add(signal Signal, given bool) {
	if given {
		*s |= 1 << signal
	}
}

// Attempt is an order that the gate judges.
type Attempt struct {
	Who    Identity
	Sale   *shop.Sale
	Key    []byte // Idempotency-Key; empty: none
	Client netip.Addr
	Now    int64
}

// Suspicion sees what many orders of one kind look like. Its tables are made
// once; a look at them takes no lock and allocates nothing. Where a table is
// full, those who came the longest ago are forgotten, which favours them; but for
// pages, where it takes 260,000 other addresses within the seconds in which an
// open page asks again. Safe for many callers at once.
type Suspicion struct {
	seed     maphash.Seed // random: nobody can choose whose words they share
	rhythms  slate        // by buyer: what beat keeps
	crowds   slate        // by address: which of 42 groups of buyers came this minute
	pages    slate        // by address: when it looked at a page
	headless slate        // by buyer: when the browser said so
	pagesNow int64        // from when on NoPage counts; 0: never
	own      suspects     // whom this node suspects
	counts   [signalCount]atomic.Uint64
	node     uint64   // tells own rumors from the others'; 0: there are no others
	others   suspects // of all other nodes, by hearsay; nil: there are none
	rounds   rounds
}

// Sizes of the tables, in keys of 8 bytes each, which are touched only as they
// come. A buyer matters for seconds, an address for a minute. Within sightFor a
// node shows pages to more addresses than order; buyers who were asked for a
// challenge and are steered by a program are few.
const (
	rhythmSlots   = 1 << 17
	crowdSlots    = 1 << 17
	pageSlots     = 1 << 18
	headlessSlots = 1 << 14
)

// Times in words: 70 minutes of milliseconds, 64 minutes, 194 days of seconds,
// then they come round.
const (
	rhythmBits, crowdBits, sightBits = 22, 6, 24
)

// sightFor is how long it counts that somebody looked at a page, or that a
// browser said what it is: a page that is open asks every few seconds, and a
// phone that slept asks before it orders.
const sightFor = 10 * time.Minute

// NewSuspicion makes a suspicion that has seen nobody. pages says that buyers
// fetch page and state from this node, not from a cache or another node; who
// looked before now is not known, so it counts a while later.
func NewSuspicion(pages bool, now int64) *Suspicion {
	s := &Suspicion{
		seed: maphash.MakeSeed(), rhythms: newSlate(rhythmSlots, rhythmBits), crowds: newSlate(crowdSlots, crowdBits),
		headless: newSlate(headlessSlots, sightBits), own: newSuspects(SuspectsKept),
	}
	if pages {
		s.pages, s.pagesNow = newSlate(pageSlots, sightBits), now+int64(sightFor)
	}
	return s
}

// Watches reports whether it matters who looks at a page. nil takes no notes.
func (s *Suspicion) Watches() bool { return s != nil && s.pagesNow != 0 }

// LookedAt notes that page or state went to the address.
func (s *Suspicion) LookedAt(client netip.Addr, now int64) {
	if s.Watches() {
		s.pages.see(s.address(client), now)
	}
}

// Automated notes that the buyer's browser says that a program steers it. nil
// takes no notes.
func (s *Suspicion) Automated(buyer string, now int64) {
	if s != nil {
		s.headless.see(maphash.String(s.seed, buyer), now)
	}
}

// note takes an order into account and returns what speaks against it.
func (s *Suspicion) note(a *Attempt) (signals Signals) {
	buyer, address := maphash.String(s.seed, a.Who.Buyer), s.address(a.Client)
	signals.add(Regular, s.beat(buyer, a))
	groups := s.crowd(address, buyer, a.Now)
	signals.add(Crowded, groups >= crowdedGroups)
	signals.add(Packed, groups >= packedGroups)
	signals.add(NoPage, s.Watches() && a.Now >= s.pagesNow && !s.pages.seen(address, a.Now))
	signals.add(Headless, s.headless.seen(buyer, a.Now))
	return signals
}

func (s *Suspicion) address(client netip.Addr) uint64 {
	key := KeyOf(client)
	return maphash.Bytes(s.seed, key[:])
}

// What is even. A script that asks once a second is some milliseconds late each
// time; a person who presses once a second is a tenth of it early or late.
const (
	evenRun   = 7              // gaps in a row that are like the first of them: eight orders
	evenShare = 32             // of the first gap, by which another may differ
	evenSlack = 1              // ms: what rounding does to a gap
	fingerMin = 50             // ms: all shorter gaps are alike, for no finger is that fast
	pauseMax  = 1<<gapBits - 1 // ms: 16 s; after a longer one the rhythm begins anew
)

// A word of a rhythm: the first gap of the run, how long it is, and what is kept
// of the last key. A new key looks like the last one once in 255: its beat is
// missed.
const (
	gapBits, runBits, printBits = 14, 4, 8

	gapShift  = runBits + printBits
	runMax    = 1<<runBits - 1
	printMask = 1<<printBits - 1
)

// beat notes an order of the buyer, and reports whether those under different
// keys come at even intervals. What comes under the last one's key is the page
// that asks again, at a pace of its own.
func (s *Suspicion) beat(buyer uint64, a *Attempt) (even bool) {
	key := uint64(0)
	if len(a.Key) > 0 {
		key = 1 + maphash.Bytes(s.seed, a.Key)%printMask
	}
	s.rhythms.write(buyer, unit(a.Now, time.Millisecond), func(age, rest uint64) (uint64, bool) {
		gap, run, last := rest>>gapShift, rest>>printBits&runMax, rest&printMask
		if key != 0 && key == last {
			even = run >= evenRun && age <= pauseMax
			return 0, false
		}
		switch {
		case age > pauseMax:
			gap, run = 0, 0
		case run > 0 && alike(gap, age):
			run = min(run+1, runMax)
		default:
			gap, run = age, 1
		}
		even = run >= evenRun
		return gap<<gapShift | run<<printBits | key, true
	})
	return even
}

// alike reports whether two gaps, in milliseconds, are about as long.
func alike(first, gap uint64) bool {
	longer, shorter := max(first, gap), min(first, gap)
	return longer < fingerMin || longer-shorter <= evenSlack+first/evenShare
}

// A word of a crowd keeps which of 42 groups an address's buyers fall into. It
// begins anew with each full minute, for sales open at one. On average, 31
// buyers are seen as crowdedGroups and 99 buyers as packedGroups.
const (
	crowdGroups   = wordBits - crowdBits
	crowdedGroups = 22
	packedGroups  = 38
)

// crowd notes a buyer behind the address, and returns how many groups came.
func (s *Suspicion) crowd(address, buyer uint64, now int64) (groups int) {
	s.crowds.write(address, unit(now, time.Minute), func(age, came uint64) (uint64, bool) {
		if age > 0 {
			came = 0
		}
		with := came | 1<<(buyer%crowdGroups)
		groups = bits.OnesCount64(with)
		return with, with != came
	})
	return groups
}

// see notes that the key was there.
func (s *slate) see(hash uint64, now int64) {
	s.write(hash, unit(now, time.Second), func(age, _ uint64) (uint64, bool) { return 0, age >= seeAgain })
}

// seeAgain is after how many seconds it is noted anew: pages ask more often.
const seeAgain = 8

// seen reports whether the key was there within sightFor.
func (s *slate) seen(hash uint64, now int64) bool {
	age, _ := s.read(hash, unit(now, time.Second))
	return age <= uint64(sightFor/time.Second)
}

// unit counts a time in whole units.
func unit(now int64, of time.Duration) uint64 { return uint64(now / int64(of)) } //nolint:gosec // times wrap as they like

// Counts returns every signal and how many decisions against an order it was
// among, from the start of the process.
func (s *Suspicion) Counts() iter.Seq2[Signal, uint64] {
	return func(yield func(Signal, uint64) bool) {
		for signal := Signal(0); int(signal) < signalCount; signal++ {
			if !yield(signal, s.counts[signal].Load()) {
				return
			}
		}
	}
}
