package gate

import (
	"slices"
	"testing"
	"time"
)

// till is what stands behind a limit, in virtual time: one line, from which
// rate orders a second are answered in turn.
type till struct {
	*Pressure
	now   time.Duration
	rate  float64
	heap  int           // not rate, but so many at once,
	every time.Duration // so often
	delay time.Duration // for a core
	line  []time.Duration
	gone  int     // of the line, those who did not wait any longer
	owed  float64 // parts of an order that rate has answered

	answered, shed int
	waits          []time.Duration
}

const stepTime = 5 * time.Millisecond

// pass lets time pass while so many a second arrive.
func (s *till) pass(d time.Duration, arrivals float64) *till {
	var coming float64
	for end := s.now + d; s.now < end; s.now += stepTime {
		for coming += arrivals * stepTime.Seconds(); coming >= 1; coming-- {
			s.arrive(1)
		}
		if s.every > 0 && s.now%s.every == 0 {
			s.owed += float64(s.heap)
		}
		for s.owed += s.rate * stepTime.Seconds(); s.owed >= 1 && len(s.line) > 0; s.owed-- {
			s.answer()
		}
		s.owed = min(s.owed, 1)
		for s.gone < len(s.line) && s.now-s.line[s.gone] > 2*time.Second {
			s.Leave(false)
			s.gone++
		}
		if s.now%lookEvery == 0 {
			s.look(lookEvery, s.delay)
		}
	}
	return s
}

// answer answers who is first in line.
func (s *till) answer() {
	if s.gone > 0 {
		s.gone-- // its ticket is decided all the same
	} else {
		s.waits = append(s.waits, s.now-s.line[0])
		s.Leave(true)
	}
	s.line = s.line[1:]
	s.answered++
}

func (s *till) arrive(count int) {
	for range count {
		if s.Full() {
			s.Shed()
			s.shed++
		} else if s.Enter() {
			s.line = append(s.line, s.now)
		}
	}
}

// forget begins the figures anew.
func (s *till) forget() { s.answered, s.shed, s.waits = 0, 0, nil }

func newTill(rate float64) *till { return &till{Pressure: NewPressure(OrdersMax), rate: rate} }

func TestABurstIsNotShed(t *testing.T) {
	s := newTill(10_000).pass(10*time.Second, 20) // another sale trickles
	s.arrive(9_000)
	s.pass(2*time.Second, 2000)
	if s.shed > 0 || s.Limit() != OrdersMax {
		t.Errorf("%d of a burst were shed, the limit is %d; want none and %d", s.shed, s.Limit(), OrdersMax)
	}
}

func TestAHiccupOfTheLedgerIsNotShed(t *testing.T) {
	s := newTill(8_000).pass(5*time.Second, 4_000)
	s.rate = 0
	s.pass(700*time.Millisecond, 4_000)
	s.rate = 8_000
	s.pass(5*time.Second, 4_000)
	if s.shed > 0 {
		t.Errorf("%d were shed, want none", s.shed)
	}
}

func TestASlowStockShedsWhatItCannotBear(t *testing.T) {
	s := newTill(20_000).pass(3*time.Second, 6_000)
	s.rate = 2_000 // ten times slower
	s.pass(10*time.Second, 6_000)
	s.forget()
	s.pass(10*time.Second, 6_000)
	slices.Sort(s.waits)
	longest := s.waits[len(s.waits)*99/100]
	t.Logf("limit %d, %d answered, %d shed, p99 of the wait %s", s.Limit(), s.answered, s.shed, longest)
	if s.answered < 19_800 {
		t.Errorf("%d answered within 10 s, want the 20,000 that the stock can", s.answered)
	}
	if longest > waitMax {
		t.Errorf("p99 of the wait is %s, want at most %s", longest, waitMax)
	}
	if s.shed < 30_000 {
		t.Errorf("%d were shed, want about 40,000", s.shed)
	}
	s.rate = 20_000
	s.pass(2*time.Second, 6_000)
	s.forget()
	if s.pass(5*time.Second, 6_000); s.shed > 0 || s.Limit() != OrdersMax {
		t.Errorf("two seconds after it is quick again: %d are shed, the limit is %d", s.shed, s.Limit())
	}
}

// A ledger far away decides many at once, and not often.
func TestALedgerThatIsSlowButWideIsKeptBusy(t *testing.T) {
	s := newTill(0)
	const batches = 2 * 512
	s.heap, s.every = batches, 1500*time.Millisecond
	s.pass(15*time.Second, 2_000)
	s.forget()
	s.pass(15*time.Second, 2_000)
	if s.answered != 10*batches {
		t.Errorf("%d answered within 15 s, want the %d that the ledger can", s.answered, 10*batches)
	}
}

func TestADeadLedgerKeepsAFewAndRecovers(t *testing.T) {
	s := newTill(5_000).pass(2*time.Second, 3_000)
	s.rate = 0
	s.pass(10*time.Second, 3_000)
	if s.Limit() != ordersFew || s.Inside() > ordersFew {
		t.Errorf("the limit is %d with %d inside, want the least, %d", s.Limit(), s.Inside(), ordersFew)
	}
	reasons := map[Shed]uint64{}
	for why, count := range s.Sheds() {
		reasons[why] = count
	}
	if reasons[ShedSlow] != uint64(s.shed) || s.shed == 0 {
		t.Errorf("counted %v, want %d as slow", reasons, s.shed)
	}
	s.rate = 5_000
	s.pass(4*time.Second, 3_000)
	s.forget()
	if s.pass(5*time.Second, 3_000); s.shed > 0 || s.Limit() != OrdersMax {
		t.Errorf("four seconds after it is back: %d are shed, the limit is %d", s.shed, s.Limit())
	}
}

func TestFewAreNeverShedHoweverSlow(t *testing.T) {
	s := newTill(0).pass(time.Minute, 50)
	if s.shed > 0 {
		t.Errorf("%d of 50 a second were shed", s.shed)
	}
}

func TestAShortProcessorShedsNewOrders(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		want  int64
	}{{40 * time.Millisecond, OrdersMax}, {240 * time.Millisecond, OrdersMax}, {400 * time.Millisecond, ordersMin}} {
		s := newTill(20_000)
		s.delay = c.delay
		s.pass(10*time.Second, 5_000)
		if s.Limit() != c.want {
			t.Errorf("with a delay of %s the limit is %d, want %d", c.delay, s.Limit(), c.want)
		}
		s.delay = 20 * time.Millisecond
		if s.pass(4*time.Second, 5_000); s.Limit() != OrdersMax {
			t.Errorf("four seconds after a delay of %s the limit is %d, want %d", c.delay, s.Limit(), OrdersMax)
		}
	}
}

func TestHoldersAreShedLast(t *testing.T) {
	s := newTill(0).pass(10*time.Second, 3_000)
	if s.Limit() != ordersFew || !s.Full() {
		t.Fatalf("the limit is %d, want new orders to be shed", s.Limit())
	}
	for range HoldersMax {
		if !s.EnterHolder() {
			t.Fatal("somebody who has an order was shed")
		}
	}
	if s.EnterHolder() {
		t.Errorf("more than %d who have an order were let in", HoldersMax)
	}
	s.LeaveHolder()
	if !s.EnterHolder() {
		t.Error("no room although one left")
	}
}
