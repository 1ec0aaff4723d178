package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/gate/gatetest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// alone is a limiter that one node keeps for itself.
type alone struct{ *gate.Limiter }

func (a alone) Take(_ context.Context, buyer string, now int64) (time.Duration, error) {
	_, wait := a.AllowString(buyer, now)
	return wait, nil
}

func TestALimiterIsAMeter(t *testing.T) {
	gatetest.RunMeter(t, func(_ *testing.T, rate gate.Rate) gate.Meter { return alone{gate.NewLimiter(rate, 1<<10)} })
}

// broken is a meter that does not answer.
type broken struct{ alone }

func (broken) Take(context.Context, string, int64) (time.Duration, error) {
	return time.Hour, errors.New("nobody answers")
}

// Security line 4: without the other machine the node's own limit decides.
func TestAMeterIsAskedLastAndMayBeGone(t *testing.T) {
	rate := gate.Rate{PerSecond: 0.1, Burst: 2}
	here, shared := gate.NewLimiter(rate, 8), alone{gate.NewLimiter(gate.Rate{PerSecond: 0.1, Burst: 1}, 8)}
	order := func(g *gate.Gate) shop.Code {
		err := g.AdmitBuyer(gate.Identity{Buyer: "ann"}, "retro-85", false, 0)
		if err == nil {
			err = g.AdmitShared(t.Context(), "ann", 0)
		}
		no, _ := errors.AsType[shop.Refusal](err)
		return no.Code
	}
	g := &gate.Gate{Buyers: here, Shared: shared}
	for i, want := range []shop.Code{"", shop.TooManyRequests} {
		if got := order(g); got != want {
			t.Errorf("order %d, counted by all nodes: %q, want %q", i, got, want)
		}
	}
	g = &gate.Gate{Buyers: gate.NewLimiter(rate, 8), Shared: broken{}}
	for i, want := range []shop.Code{"", "", shop.TooManyRequests} {
		if got := order(g); got != want {
			t.Errorf("order %d, without the others: %q, want %q", i, got, want)
		}
	}
	for reason, count := range g.Counts.All() {
		if want := map[gate.Reason]uint64{gate.BuyerLimit: 1}[reason]; count != want {
			t.Errorf("%s was counted %d times, want %d", reason, count, want)
		}
	}
	g.Lists.Post([]shop.Entry{{List: shop.Allow, Subject: shop.Subject{Buyer: "ann"}}})
	g.Shared = shared
	if err := g.AdmitShared(t.Context(), "ann", 0); err != nil {
		t.Errorf("an allowed buyer: %v", err)
	}
}
