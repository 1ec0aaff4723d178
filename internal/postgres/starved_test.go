package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/postgres"
)

// office is everything but deciding that a node does in its database, by the
// connections that do it.
func (b *book) office(ctx context.Context, sold ledger.Decision) map[string]func() error {
	order := sold.Order
	return map[string]func() error{
		"readers": func() error { _, err := b.Order(ctx, order.ID); return err },
		"operators": func() error {
			_, err := b.Pay(ctx, ledger.Payment{Order: order.ID, Reference: "till-" + order.ID.String()})
			return err
		},
		"expiry": func() error { _, err := b.Due(ctx, 1); return err },
		"books":  func() error { _, err := b.Check(ctx); return err },
		"ping":   func() error { return b.Ping(ctx) },
	}
}

// hog takes every connection that the server still has, until it is told to
// give them back.
func (b *book) hog() (release func()) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var taken []*pgx.Conn
	for {
		conn, err := pgx.Connect(ctx, b.url)
		if err != nil {
			if !strings.Contains(err.Error(), "53300") || len(taken) == 0 {
				b.t.Fatalf("after %d connections: %v, want too many", len(taken), err)
			}
			break
		}
		taken = append(taken, conn)
	}
	return func() {
		for _, conn := range taken {
			_ = conn.Close(context.Background())
		}
	}
}

func TestEachKindOfWorkHasConnectionsOfItsOwn(t *testing.T) {
	t.Parallel() // it mostly waits
	b := newBook(t, server.database(t))
	b.sale("r")
	other := b.mustDecide(b.tickets("r", 1))[0]
	leave := b.hold("s") // whoever decides for it waits, with a connection
	var stuck sync.WaitGroup
	for range 20 { // more than there are for that
		tickets := b.tickets("s", 1)
		stuck.Go(func() { _, _ = b.Decide(context.Background(), tickets) })
	}
	b.waits()
	for name, work := range b.office(t.Context(), other) {
		began := time.Now()
		if err := work(); err != nil {
			t.Errorf("%s, while the workers are stuck: %v", name, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s waited %v for the workers", name, took)
		}
	}
	leave("SELECT 1")
	stuck.Wait()
	b.mustSell(10)
	b.sound()
}

func TestAServerWithoutConnectionsIsAnErrorInTimeAndPasses(t *testing.T) {
	t.Parallel() // it mostly waits
	p := ownServer(t, "max_connections=24")
	b := newBook(t, p.URL("shop"))
	sold := b.mustSell(10)[0]

	release := b.hog()
	b.mustSell(10) // what a node has, it keeps
	release()

	until(t, "there is nothing left to the node", func() bool {
		execute(t, b.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doorbuster'")
		release = b.hog()
		if _, err := b.Decide(t.Context(), b.tickets("s", 1)); err != nil && strings.Contains(err.Error(), "53300") {
			return true
		}
		release() // it was quicker
		return false
	})
	for name, work := range b.office(t.Context(), sold) {
		began := time.Now()
		if err := work(); err == nil {
			t.Errorf("%s: no error without a connection", name)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("%s took %v to say so", name, took)
		}
	}
	began := time.Now()
	if _, err := postgres.Open(t.Context(), postgres.Options{URL: b.url, Now: time.Now}); err == nil || !strings.Contains(err.Error(), "53300") {
		t.Errorf("a node that starts now: %v, want the server's reason", err)
	}
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("a node that starts now took %v to say so", took)
	}
	release()
	began = time.Now()
	until(t, "it sells again", func() bool {
		_, err := b.Decide(t.Context(), b.tickets("s", 1))
		return err == nil
	})
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("sold again %v after connections were free", took)
	}
	b.sound()
}
