package postgres_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/servers"
)

// mayMount reports whether the test goes on. A user who may not mount runs it
// again in a namespace where they may; then it is over.
func mayMount(t *testing.T) bool {
	t.Helper()
	if servers.MayMount() {
		return true
	}
	out, err := servers.WhereDisksMount("-test.run=^"+t.Name()+"$", "-test.v")
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("in a namespace of its own: %v", err)
	}
	return false
}

func TestAFullDiskRefusesTheBatchAndGoesOnWhenThereIsRoom(t *testing.T) {
	t.Parallel() // it mostly waits
	if !mayMount(t) {
		return
	}
	p := ownServer(t)
	b := newBook(t, p.URL("shop"))
	disk, err := servers.MountDisk(filepath.Join(filepath.Dir(p.Data()), "small"), 1<<20, p.Data())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Unmount(); err != nil {
			t.Error(err)
		}
	})
	execute(t, b.url, "CREATE TABLESPACE small LOCATION '"+disk.Dir+"'")
	execute(t, b.url, "ALTER TABLE doorbuster.claims SET TABLESPACE small")
	var sold int64
	var full error
	for full == nil && sold < 100_000 {
		if _, full = b.Decide(t.Context(), b.tickets("s", 100)); full == nil {
			sold += 100
		}
	}
	if !errors.Is(full, ledger.ErrFull) || sold == 0 {
		t.Fatalf("after %d orders: %v, want %v", sold, full, ledger.ErrFull)
	}
	if held := b.held("s"); held != sold {
		t.Errorf("%d units held, want %d", held, sold)
	}
	execute(t, b.url, "ALTER TABLE doorbuster.claims SET TABLESPACE pg_default")
	b.mustSell(100)
	b.sound()
}
