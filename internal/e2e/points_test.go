package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
)

const (
	// pointMax is how long load may need to reach a crash point. Holds of 30 s
	// have to run out for one of them.
	pointMax = 60 * time.Second
	dropsMax = 2 // small sales that are published and open by their times, per point
)

// pass says at which pass of a point the process dies. Points that a start
// goes through are met again under load, at a later pass.
func pass(point crash.Point) []int {
	switch point {
	case crash.GrantCommitted, crash.GrantApplied:
		return []int{1, 20}
	case crash.BumpCommitted, crash.BumpStarted:
		return []int{1, 3}
	case crash.AfterTokenCheck, crash.AfterReserve, crash.TicketRead, crash.BeforeCommit, crash.AfterCommit,
		crash.BeforeSettle, crash.AfterSettle, crash.AfterAck:
		return []int{40}
	default:
		return []int{1}
	}
}

// killAtPoints dies once at each named point, with everything going on that
// leads to one.
func (r *rush) killAtPoints(t *testing.T) {
	r.node.stop(t)
	for _, point := range crash.Points() {
		for _, n := range pass(point) {
			t.Run(fmt.Sprintf("%s, pass %d", point, n), func(t *testing.T) { r.killAt(t, point, n) })
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	r.node.start(t)
	r.node.ready(t)
}

// killAt runs until the process has died at the point, then starts the plain
// program and checks.
func (r *rush) killAt(t *testing.T, point crash.Point, pass int) {
	n := r.node
	n.binary, n.env = crashing, []string{fmt.Sprintf("DOORBUSTER_CRASH_AT=%s:%d", point, pass)}
	n.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), pointMax)
	defer cancel()
	done := make(chan struct{}, 2)
	go func() { r.press(ctx); done <- struct{}{} }()
	go func() { r.operate(ctx, string(point)); done <- struct{}{} }()
	began := time.Now()
	select {
	case <-n.exited:
	case <-ctx.Done():
		t.Errorf("load did not reach %s within %s", point, pointMax)
		n.kill()
	}
	cancel()
	<-done
	<-done
	if !n.killed() {
		t.Fatalf("the process ended with %s, want the crash point's kill", n.command.ProcessState)
	}
	t.Logf("died after %s", time.Since(began).Round(time.Millisecond))
	n.binary, n.env = plain, nil
	n.start(t)
	n.ready(t)
	r.verify(t)
	n.stop(t)
}

// operate does what operators do, and what leads to rare points: stock lowered
// and raised, new sales that open by their times.
func (r *rush) operate(ctx context.Context, name string) {
	rng := rand.New(rand.NewPCG(r.seed, uint64(len(name))))
	for i := 0; rest(ctx, 150*time.Millisecond); i++ {
		changed := *r.deep
		changed.Items = append([]item{}, r.deep.Items...)
		changed.Items[i%3].Stock -= rng.Int64N(500)
		_, _, _ = r.op.do(http.MethodPut, "/sales/"+changed.ID, changed.document()) // it may die in the midst
		if i%8 != 0 || i/8 >= dropsMax {
			continue
		}
		drop := newSale(fmt.Sprintf("drop-%s-%d", name, i), 1, map[string]int64{"only": 1})
		drop.OpensAt = time.Now().Add(500 * time.Millisecond)
		_, _, _ = r.op.do(http.MethodPut, "/sales/"+drop.ID, drop.document())
	}
}
