package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/postgres"
)

// tenure runs a candidate until the test ends.
func tenure(t *testing.T, b *book) *postgres.Office {
	office := b.Office("supply")
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := office.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		run.Wait()
	})
	return office
}

func TestOneNodeHoldsAnOffice(t *testing.T) {
	t.Parallel() // it mostly waits
	one := newBook(t, server.database(t))
	first := tenure(t, one)
	until(t, "the first holds the office", first.Held)
	second := tenure(t, one.beside())
	elsewhere := tenure(t, newBook(t, server.database(t)))
	until(t, "another ledger's office is held as well", elsewhere.Held)
	if second.Held() {
		t.Error("two nodes hold one office")
	}

	began := time.Now()
	execute(t, one.url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	until(t, "the first knows that it lost the office", func() bool { return !first.Held() })
	until(t, "one of them holds it again", func() bool { return first.Held() || second.Held() })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the office was empty for %v", took)
	}
	if first.Held() && second.Held() {
		t.Error("two nodes hold one office")
	}
}

func TestANodeThatStandsStillLosesItsOffice(t *testing.T) {
	t.Parallel() // it mostly waits
	direct := server.database(t)
	other := newBook(t, direct)
	proxy, url := proxied(t, direct)
	holder := &book{Ledger: real(t, url), t: t, url: url, n: new(int64)}
	first := tenure(t, holder)
	until(t, "the first holds the office", first.Held)
	second := tenure(t, other)

	proxy.Freeze()
	began := time.Now()
	until(t, "the first no longer believes that it holds the office", func() bool { return !first.Held() })
	if second.Held() {
		t.Error("the second held it before the first gave it up")
	}
	until(t, "the second holds it", second.Held)
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("the office was empty for %v", took)
	}
	proxy.Heal()
}
