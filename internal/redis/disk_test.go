package redis

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// whole wants every unit of a shelf to be somewhere, and at least so many
// tickets.
func (c *Client) whole(tb testing.TB, units int64, taken int) {
	tb.Helper()
	shelf := c.look(tb, drop())
	if shelf.Free["eu-42"]+shelf.Undecided["eu-42"] != units || int64(shelf.Tickets) != shelf.Undecided["eu-42"] {
		tb.Errorf("the units do not add up: %+v", shelf)
	}
	if shelf.Tickets < taken {
		tb.Errorf("%d tickets, want %d", shelf.Tickets, taken)
	}
}

// TestAFullDiskLeavesNoPartialState gives Redis a file that may not grow, as a
// disk without room does: its last write is a short one.
func TestAFullDiskLeavesNoPartialState(t *testing.T) {
	server := ownRedis(t)
	// 64 blocks of 512 bytes; the signal would kill.
	server.Wrapper = []string{"sh", "-c", `trap '' XFSZ; ulimit -S -f 64; exec "$@"`, "small"}
	must(t, server.Wipe(t.Context()))
	c := stocked(t, server.URL(), 10_000)
	var full error
	taken := 0
	for full == nil && taken < 5000 {
		if _, full = c.try(t.Context(), taken); full == nil {
			taken++
		}
	}
	if full == nil || !strings.Contains(full.Error(), "MISCONF") {
		t.Fatalf("error is %v after %d reservations, want MISCONF", full, taken)
	}
	c.whole(t, 10_000, taken)
	_, err := servers.Output(t.Context(), "prlimit", "--pid", strconv.Itoa(server.Process().PID()), "--fsize=unlimited:")
	must(t, err)
	eventually(t, 5*time.Second, func() error { // Redis tries once a second
		_, err := c.try(t.Context(), taken)
		return err
	})
	must(t, server.Restart(t.Context())) // what it wrote last is no half sentence
	eventually(t, 3*time.Second, func() error {
		_, err := c.Stock().Shelf(t.Context(), drop())
		return err
	})
	c.whole(t, 10_000, taken)
}

// TestAFailedSyncEndsRedisAndLosesNoUnit: Redis that syncs each write ends at
// the first that fails. What it was asked then is in its file, or is not.
func TestAFailedSyncEndsRedisAndLosesNoUnit(t *testing.T) {
	server := ownRedis(t, "--appendfsync", "always")
	c := stocked(t, server.URL(), 1000)
	for n := range 20 {
		c.reserve(t, n)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	server.Wrapper = []string{
		"strace", "-f", "-qq", "--seccomp-bpf", "-o", trace,
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when=30+",
	}
	must(t, server.Restart(t.Context()))
	taken := 20
	eventually(t, 20*time.Second, func() error {
		if _, err := c.try(t.Context(), taken); err == nil {
			taken++
		}
		if server.Process().State() == nil {
			return errors.New("Redis goes on after a failed sync")
		}
		return nil
	})
	text, err := os.ReadFile(trace)
	must(t, err)
	if failed := strings.Count(string(text), "(INJECTED)"); failed != 1 || taken == 20 {
		t.Errorf("%d syncs failed and %d units were taken, want the end after the first, and more than 20", failed, taken)
	}
	server.Wrapper = nil
	must(t, server.Start(t.Context()))
	eventually(t, 3*time.Second, func() error {
		_, err := c.Stock().Shelf(t.Context(), drop())
		return err
	})
	c.whole(t, 1000, taken) // its disk was whole: with one that was not, the numbers are older
	if answer, err := c.try(t.Context(), taken); err != nil || answer.Outcome != stock.Pending {
		t.Errorf("asked again: %+v, %v", answer, err)
	}
}
