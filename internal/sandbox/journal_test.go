package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/payments/paymentstest"
)

// reopen returns the lines that the next start reads.
func reopen(t *testing.T, path string) ([]string, error) {
	t.Helper()
	var lines []string
	j, err := openJournal(path, func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return lines, j.close()
}

func filled(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), journalName)
	j, err := openJournal(path, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		mark, err := j.append([]byte(line))
		if err == nil {
			err = j.sync(mark)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestATornLastLineIsCutOffAtAnyByte(t *testing.T) {
	path := filled(t, "one", "two", "three")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := strings.Index(string(whole), "three") - sumDigits - 1
	for size := second; size < len(whole); size++ {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		lines, err := reopen(t, path)
		if err != nil || !slices.Equal(lines, []string{"one", "two"}) {
			t.Fatalf("cut at byte %d: %q, %v", size, lines, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(second) {
			t.Fatalf("cut at byte %d: %v bytes left, want %d", size, info.Size(), second)
		}
	}
}

func TestDamageInTheMiddleIsSaidNotSkipped(t *testing.T) {
	path := filled(t, "one", "two", "three")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[strings.Index(string(whole), "two")] ^= 0x20
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, err := reopen(t, path); err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), path) {
		t.Errorf("%q, %v; want an error that names file and line", lines, err)
	}
}

func TestManyWritersShareSyncsAndLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), journalName)
	j, err := openJournal(path, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			mark, err := j.append(fmt.Appendf(nil, "line %d", i))
			if err == nil {
				err = j.sync(mark)
			}
			if err != nil {
				t.Errorf("line %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if lines, err := reopen(t, path); err != nil || len(lines) != 50 {
		t.Errorf("%d lines, %v; want 50", len(lines), err)
	}
}

func TestAfterAFailedSyncNothingIsBelieved(t *testing.T) {
	path := filled(t, "one")
	j, err := openJournal(path, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	mark, err := j.append([]byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.file.Close(); err != nil { // the disk is gone
		t.Fatal(err)
	}
	first := j.sync(mark)
	if first == nil {
		t.Fatal("a failed sync is reported as done")
	}
	if again := j.sync(mark); again != first { //nolint:errorlint // the very same fault, kept
		t.Errorf("the next sync: %v, want %v", again, first)
	}
	if _, err := j.append([]byte("three")); err != first { //nolint:errorlint // the very same fault, kept
		t.Errorf("the next line: %v, want %v", err, first)
	}
}

func TestTheJournalStaysInProportion(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		kept := paymentstest.Order(255, time.Now().Add(24*time.Hour))
		page := start(t, s, kept)
		s.press(t, page, paymentstest.Pay)
		for i := range 20 * 255 {
			order := paymentstest.Order(byte(i%255), time.Now())
			order.ID[2], order.ID[3] = byte(i), byte(i>>8)
			start(t, s, order)
		}
		before := s.journal.bytes()
		synctest.Wait()
		time.Sleep(keepFor + 20*time.Minute)
		synctest.Wait()
		if before < tidyFrom {
			t.Fatalf("the journal has only %d bytes: nothing is tested", before)
		}
		if after := s.journal.bytes(); after > before/100 {
			t.Errorf("the journal has %d bytes after all was over, %d before", after, before)
		}
		s.restart(t)
		s.mu.Lock()
		left := len(s.payments)
		s.mu.Unlock()
		if _, paid, err := s.Paid(t.Context(), kept.ID); !paid || err != nil || left != 1 {
			t.Errorf("paid %v, %v, %d payments; want the one that is not over", paid, err, left)
		}
	})
}
