package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// TestRolling restarts one node after the other under load, as an upgrade
// does; then an old backup of the database is restored.
func TestRolling(t *testing.T) {
	f := startFleet(t, servers.FleetOptions{Nodes: 3})
	r := newRushOn(t, newStreetAt(t, f.Nginx.URL(), rushWorkers+4), f.operator())
	r.op.publish(t, r.deep)
	r.op.publish(t, r.scarce)
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
	t.Run("restart one after the other", func(t *testing.T) { f.rolling(t, r) })
	if t.Failed() {
		return
	}
	t.Run("restore an old backup", func(t *testing.T) { f.restored(t, r) })
}

// balancerMax is how long a node that is back has before the next one goes:
// long enough for it to have answered, far shorter than the second that nginx
// may hold it for gone.
const balancerMax = 500 * time.Millisecond

// rolling restarts every node while buyers press, as docs/operations.md says:
// none of them hears that something is broken.
func (f *fleet) rolling(t *testing.T, r *rush) {
	pressing, stop := context.WithCancel(t.Context())
	pressed := make(chan struct{})
	go func() { r.press(pressing); close(pressed) }()
	f.rolls(t)
	stop()
	<-pressed
	broken := 0
	r.history.each(func(_ claim, answers []*answer) {
		for _, a := range answers {
			if a.proxy != 0 || a.status == http.StatusInternalServerError {
				broken++
			}
		}
	})
	r.healed(t)
	for _, s := range []*sale{r.deep, r.scarce} {
		orders := r.op.orders(t, s.ID)
		for _, fault := range r.history.faults(s, orders) {
			t.Error(fault)
		}
		r.balanced(t, s.ID)
		r.op.audit(t, s.ID)
	}
	f.audit(t)
	r.figures(t)
	t.Logf("%d answers of nginx were that a node is gone", broken)
	if broken > 0 {
		t.Errorf("%d buyers heard of the restarts", broken)
	}
}

// restored brings the database back to where it was some orders ago. The
// stock has heard of those orders: nothing may be sold on.
func (f *fleet) restored(t *testing.T, r *rush) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	data, backup := filepath.Join(f.dir, "postgres", "data"), filepath.Join(f.dir, "postgres", "backup")
	early := r.shopper(t, "early")
	known := early.buy(ctx, wish{r.deep.ID, "k", "a", 1})
	if known.kind() != decided {
		t.Fatalf("no order: %s", known)
	}
	must(f.Postgres.Stop())
	copied(ctx, t, data, backup)
	must(f.Postgres.Restart(ctx))
	within(t, settleMax, func() error { return f.healthy(ctx) })
	var lacks *answer   // an order that the backup does not have
	for i := range 20 { // orders that the backup does not have
		who := r.shopper(t, fmt.Sprintf("after-%d", i))
		within(t, readyMax, func() error {
			if lacks = who.buy(ctx, wish{r.deep.ID, "k", "a", 1}); lacks.kind() != decided {
				return fmt.Errorf("no order: %s", lacks)
			}
			return nil
		})
	}
	within(t, readyMax, func() error { // their tickets are settled
		if sold := r.op.sale(t, r.deep.ID).sum(); sold.leak() != 0 {
			return fmt.Errorf("on its way: %+v", sold)
		}
		return f.healthy(ctx)
	})
	must(f.Postgres.Stop())
	newest := filepath.Join(f.dir, "postgres", "newest")
	copied(ctx, t, data, newest)
	swap := func(from string) {
		t.Helper()
		must(exec.CommandContext(ctx, "rm", "-r", data).Run())
		copied(ctx, t, from, data)
		must(f.Postgres.Restart(ctx))
	}
	swap(backup)
	halted := func() error {
		for i, n := range f.Nodes {
			status, body := fetch(ctx, "http://"+n.Operators+"/readyz")
			if status != http.StatusServiceUnavailable || !strings.Contains(body, "it has lost history") {
				return fmt.Errorf("node %d: %d %s", i+1, status, body)
			}
		}
		return nil
	}
	within(t, settleMax, halted)
	must(f.Nodes[0].Kill()) // one that knew nothing but the stock
	must(f.Nodes[0].Start())
	within(t, settleMax, halted)
	if a := r.shopper(t, "late").buy(ctx, wish{r.deep.ID, "k", "a", 1}); a.status != http.StatusServiceUnavailable || a.code != "unavailable" {
		t.Errorf("a halted sale sells: %s", a)
	}
	for what, id := range map[string]string{"that the backup has": known.order.ID, "that the backup lacks": lacks.order.ID} {
		if _, status := early.order(ctx, id); status != http.StatusServiceUnavailable {
			t.Errorf("an order %s is read: %d", what, status)
		}
		if err := r.op.paid(id, "halted"); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("an order %s is paid: %v, want 503", what, err)
		}
	}
	must(f.Postgres.Stop())
	swap(newest)
	within(t, settleMax, func() error { return f.healthy(ctx) })
	if a := r.shopper(t, "later").buy(ctx, wish{r.deep.ID, "k", "a", 1}); a.kind() != decided {
		t.Errorf("the newest ledger is back, and nothing is sold: %s", a)
	}
	for _, id := range []string{known.order.ID, lacks.order.ID} {
		if err := r.op.paid(id, "halted"); err != nil {
			t.Errorf("the payment is reported again: %v", err)
		}
	}
	f.audit(t)
}

// copied copies a folder with its owners.
func copied(ctx context.Context, t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(ctx, "cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
