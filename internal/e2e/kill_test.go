package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// Load between two kills.
const (
	loadMin = 100 * time.Millisecond
	loadMax = 600 * time.Millisecond
)

// TestKill kills the process under load, again and again over one folder: at
// random moments, and once at every named crash point. After each restart
// every promise stands.
func TestKill(t *testing.T) {
	n := serve(t, setup{})
	r := newRush(t, n)
	r.op.publish(t, r.deep)
	r.op.publish(t, r.scarce)
	kills := number(t, "DOORBUSTER_KILLS", 100)
	t.Run("at random moments", func(t *testing.T) { r.killAtRandom(t, kills) })
	if t.Failed() {
		return
	}
	t.Run("at every crash point", func(t *testing.T) { r.killAtPoints(t) })
	if t.Failed() {
		return
	}
	r.healed(t)
	r.sellOut(t)
	r.verify(t)
	r.figures(t)
	n.stop(t)
	n.audited(t)
	for _, s := range []*sale{r.deep, r.scarce} {
		soldOutIsTrue(t, n.dir, s.ID, r.history.verdicts(s.ID))
	}
}

// killAtRandom kills under load, and checks after each restart.
func (r *rush) killAtRandom(t *testing.T, kills int) {
	rng := rand.New(rand.NewPCG(r.seed, 0))
	var down, checks time.Duration
	worst := time.Duration(0)
	for range kills {
		ctx, cancel := context.WithCancel(t.Context())
		pressed := make(chan struct{})
		go func() { r.press(ctx); close(pressed) }()
		rest(ctx, loadMin+time.Duration(rng.Int64N(int64(loadMax-loadMin))))
		if r.node.ended() {
			t.Fatalf("the node ended by itself with %s", r.node.command.ProcessState)
		}
		r.node.kill()
		cancel()
		<-pressed
		began := time.Now()
		r.node.start(t)
		r.node.ready(t)
		back := time.Since(began)
		down, worst = down+back, max(worst, back)
		began = time.Now()
		r.verify(t)
		checks += time.Since(began)
		if t.Failed() {
			t.FailNow()
		}
	}
	each := time.Duration(kills)
	t.Logf("%d kills; ready again in %s on average, %s at worst; all checks in %s on average",
		kills, (down / each).Round(time.Millisecond), worst.Round(time.Millisecond), (checks / each).Round(time.Millisecond))
}

// sellOut buys all that is left of the scarce sale, pays what is held and
// closes: the units are all there.
func (r *rush) sellOut(t *testing.T) {
	t.Helper()
	r.op.move(t, r.scarce.ID, "open")
	for i := 0; r.op.sale(t, r.scarce.ID).sum().free() > 0; i++ {
		who := r.shopper(t, fmt.Sprintf("last-%04d", i))
		for _, it := range r.scarce.Items {
			who.buy(t.Context(), wish{r.scarce.ID, "last", it.SKU, 1})
		}
		if i > 1000 {
			t.Fatalf("a thousand buyers could not take %+v", r.op.sale(t, r.scarce.ID).sum())
		}
	}
	for id, each := range r.op.orders(t, r.scarce.ID) {
		if each.Status == "awaiting_payment" {
			_ = r.op.paid(id, "till-"+id) // it may have expired in this moment
		}
	}
	all := r.op.sale(t, r.scarce.ID).sum()
	if want := all.Total - all.Withdrawn; all.Sold+all.free()+all.Held != want || all.Sold == 0 {
		t.Errorf("after the last buyer: %+v, want all of %d", all, want)
	}
	r.op.must(t, http.MethodPost, "/sales/"+r.scarce.ID+"/close", nil, nil, http.StatusOK)
}

// figures prints what the test has put the program through.
func (r *rush) figures(t *testing.T) {
	t.Helper()
	f := r.history.figures()
	promises, lost := 0, 0
	r.history.each(func(_ claim, answers []*answer) {
		for _, a := range answers {
			if a.kind() == decided {
				promises++
				break
			}
		}
		if answers[0].status == 0 {
			lost++
		}
	})
	kept := len(r.op.orders(t, r.deep.ID)) + len(r.op.orders(t, r.scarce.ID))
	t.Logf("%d questions, %d answered orders kept, %d orders in the ledger, %d questions whose first answer was lost in a kill", f.asked, promises, kept, lost)
	for _, name := range sorted(f.answers) {
		t.Logf("  %8d × %s", f.answers[name], name)
	}
}
