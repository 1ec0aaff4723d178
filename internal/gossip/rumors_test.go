package gossip

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/memory"
)

func rumor(n int) gate.Rumor {
	return gate.Rumor{Node: 1 << 63, Suspect: gate.Suspect{
		Sale: "retro-85", Buyer: "buyer-" + strconv.Itoa(n), Client: netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}),
		Signals: 1<<gate.Regular | 1<<gate.Headless, First: 1_790_000_000_123_456_789, Last: 1_790_000_000_123_456_789 + int64(n),
		Times: uint64(n) + 1, Solved: uint64(n),
	}}
}

func TestARumorSaysAllThatTheNodeHoldsAgainstASuspect(t *testing.T) {
	line := &memory.Line{}
	b := listen(t, line, 2)
	said := []gate.Rumor{rumor(1), rumor(2), rumor(3)}
	said[1].Client = netip.MustParseAddr("2001:db8::1")
	said[2].Client = netip.Addr{}
	said[2].First, said[2].Last, said[2].Times = math.MinInt64, math.MaxInt64, math.MaxUint64
	a := &Gossip{Self: 1, Rumors: func() []gate.Rumor { return said }}
	if err := line.Send(t.Context(), a.rumors()); err != nil {
		t.Fatal(err)
	}
	b.until(t, "all is heard", func() bool { return len(b.rumors) == len(said) })
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(said, b.rumors, same); diff != "" {
		t.Errorf("rumors (-said +heard)\n%s", diff)
	}
	said = nil
	if message := a.rumors(); message != nil {
		t.Errorf("of nobody it says %x", message)
	}
}

// The prints of the secrets are told again and again, by nodes that have nothing
// else to say.
func TestNodesTellEachOtherThePrintsOfTheirSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &memory.Line{}
		b := listen(t, line, 2)
		said := []Secret{{"DOORBUSTER_BUYER_KEY", math.MaxUint64}, {"DOORBUSTER_ADMIN_TOKEN", 7}}
		a := &Gossip{Line: line, Self: 1, Gap: func() {}, Log: slog.New(slog.DiscardHandler), Secrets: said}
		ctx, cancel := context.WithTimeout(t.Context(), 2*secretsEvery+time.Second)
		defer cancel()
		_ = a.Run(ctx)
		synctest.Wait()
		if diff := cmp.Diff(slices.Repeat(said, 2), b.secrets); diff != "" {
			t.Errorf("secrets (-said +heard)\n%s", diff)
		}
	})
}

// A node that does not know a kind of items stops there, without harm.
func TestNewsOfAnotherVersionIsPassedOver(t *testing.T) {
	line := &memory.Line{}
	b := listen(t, line, 2)
	a := &Gossip{Self: 1}
	a.TellMoved("first")
	const unknown = 200
	for _, message := range [][]byte{append(a.head(), unknown, 1, 2, 3), append(a.next(), unknown), append([]byte{layout + 1}, a.head()[1:]...)} {
		if err := line.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
	}
	b.until(t, "what came before is heard", func() bool { return len(b.moved) == 1 })
	if b.listed+len(b.rumors)+len(b.decisions)+len(b.wants) > 0 {
		t.Error("something was heard that nobody said")
	}
}

// flood is a line on which messages are counted, each of which takes a while.
type flood struct {
	deaf
	mu       sync.Mutex
	rumors   []time.Time
	messages int
}

func (f *flood) Send(_ context.Context, message []byte) error {
	time.Sleep(time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages++
	if i := len((&Gossip{}).head()); message[i] == itemRumor {
		f.rumors = append(f.rumors, time.Now())
	}
	return nil
}

// However much there is to say, rumors go once a second, in messages of their
// own; and decisions without a pause do not keep them back.
func TestRumorsGoOnceASecondWhateverElseThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flood{}
		g := &Gossip{
			Line: f, Self: 1, Gap: func() {}, Log: slog.New(slog.DiscardHandler),
			Rumors: func() []gate.Rumor { return slices.Repeat([]gate.Rumor{rumor(1)}, gate.RumorsMax) },
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+500*time.Millisecond)
		defer cancel()
		var crew sync.WaitGroup
		crew.Go(func() { _ = g.Run(ctx) })
		for ctx.Err() == nil { // more than can be sent
			g.TellMoved("retro-85")
			time.Sleep(500 * time.Microsecond)
		}
		crew.Wait()
		if f.messages < 10_000 || len(f.rumors) != 10 {
			t.Errorf("%d messages, of which %d rumors, in 10 s, want one a second", f.messages, len(f.rumors))
		}
		for i := 1; i < len(f.rumors); i++ {
			if gap := f.rumors[i].Sub(f.rumors[i-1]); gap < 900*time.Millisecond || gap > 1100*time.Millisecond {
				t.Errorf("rumors %s after each other, want a second", gap)
			}
		}
	})
}
