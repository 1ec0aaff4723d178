package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	// smallStock is a disk for Redis's file, full after some thousand tickets.
	smallStock = 1 << 20
	// smallWAL is a disk for some segments of WAL, of 16 MiB each.
	smallWAL = 120 << 20
)

// TestFullDisksOfTheStores: without room for what a store writes, nobody is
// promised anything and all hear so; with room again it goes on.
func TestFullDisksOfTheStores(t *testing.T) {
	if testing.Short() {
		t.Skip("mounts disks; left to make e2e")
	}
	if !servers.MayMount() {
		out, err := servers.WhereDisksMount("-test.run=^"+t.Name()+"$", "-test.v")
		t.Logf("%s", out)
		if err != nil {
			t.Fatalf("in a namespace of its own: %v", err)
		}
		return
	}
	f := startFleet(t, servers.FleetOptions{Nodes: 2})
	r := f.rush(t)
	t.Run("no room for Redis's file", func(t *testing.T) { f.fullStock(t, r) })
	t.Run("no room for PostgreSQL's WAL", func(t *testing.T) { f.fullWAL(t, r) })
	f.settled(t, r)
}

// small mounts a disk over a folder for as long as the test runs.
func small(t *testing.T, dir string, size int) *servers.Disk {
	t.Helper()
	disk, err := servers.MountDisk(dir, size, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// turnedAway wants new buyers of the deep sale to hear "ask again", with the
// time to wait, for a while.
func (r *rush) turnedAway(t *testing.T, name string) error {
	t.Helper()
	for n := range 10 {
		r.fresh++
		a := r.shopper(t, fmt.Sprintf("%s-%05d", name, r.fresh)).buy(t.Context(), wish{r.deep.ID, "k", "a", 1})
		if a.status != http.StatusServiceUnavailable || a.code != "unavailable" || a.wait < time.Second {
			return fmt.Errorf("the %d. hears %s, Retry-After %s; want 503 unavailable, and when to come back", n+1, a, a.wait)
		}
		rest(t.Context(), 50*time.Millisecond)
	}
	return nil
}

// sellsAgain waits until nodes are ready and a new buyer gets a unit.
func (f *fleet) sellsAgain(t *testing.T, r *rush) {
	t.Helper()
	began := time.Now()
	within(t, backMax, func() error {
		if err := f.healthy(t.Context()); err != nil {
			return err
		}
		r.fresh++
		a := r.shopper(t, fmt.Sprintf("again-%05d", r.fresh)).buy(t.Context(), wish{r.deep.ID, "k", "a", 1})
		if a.kind() != decided {
			return fmt.Errorf("with room again: %s", a)
		}
		return nil
	})
	t.Logf("sells %s after there was room", time.Since(began).Round(time.Millisecond))
}

func (f *fleet) fullStock(t *testing.T, r *rush) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.Single.Stop())
	disk := small(t, f.Single.Dir, smallStock)
	must(f.Single.Start(t.Context())) // with nothing: the stock begins a new epoch
	f.sellsAgain(t, r)
	since := r.history.tick()
	r.pressed(t, func() {
		rest(t.Context(), time.Second)
		must(disk.Fill())
		within(t, readyMax, func() error { return r.turnedAway(t, "full-stock") })
		first := f.stocked(t)
		rest(t.Context(), 500*time.Millisecond)
		if second := f.stocked(t); first != second {
			t.Errorf("a stock that cannot be written changes: %+v, then %+v", first, second)
		}
		must(disk.Empty())
		f.sellsAgain(t, r)
	})
	r.polite(t, since)
	must(f.Single.Stop())
	must(disk.Unmount())
	must(f.Single.Start(t.Context())) // with what it had before: an old snapshot
	f.sellsAgain(t, r)
}

func (f *fleet) fullWAL(t *testing.T, r *rush) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wal := filepath.Join(f.Postgres.Data(), "pg_wal")
	aside := filepath.Join(f.dir, "wal")
	must(f.Postgres.Stop())
	copied(t.Context(), t, wal, aside)
	disk := small(t, wal, smallWAL)
	copied(t.Context(), t, aside+"/.", wal)
	must(f.Postgres.Restart(t.Context()))
	f.sellsAgain(t, r)
	since := r.history.tick()
	r.pressed(t, func() {
		must(disk.Fill())
		within(t, backMax, func() error {
			// Each switch needs a new segment of 16 MiB.
			_, _ = f.Postgres.Ask(t.Context(), "doorbuster", "SELECT pg_switch_wal()")
			return r.turnedAway(t, "full-wal")
		})
		t.Logf("PostgreSQL has ended: %v", f.Postgres.State() != nil)
		for i, n := range f.Nodes {
			if status, _ := fetch(t.Context(), "http://"+n.Buyers+"/readyz"); status != http.StatusServiceUnavailable {
				t.Errorf("readyz of node %d without a ledger that writes: %d, want 503", i+1, status)
			}
		}
		must(disk.Empty())
		must(f.Postgres.Kill()) // if it has not ended by itself
		must(f.Postgres.Restart(t.Context()))
		f.sellsAgain(t, r)
	})
	r.polite(t, since)
	must(f.Postgres.Stop()) // and give it its disk back
	must(exec.CommandContext(t.Context(), "rm", "-r", aside).Run())
	copied(t.Context(), t, wal, aside)
	must(disk.Unmount())
	must(exec.CommandContext(t.Context(), "rm", "-r", wal).Run())
	copied(t.Context(), t, aside, wal)
	must(f.Postgres.Restart(t.Context()))
}
