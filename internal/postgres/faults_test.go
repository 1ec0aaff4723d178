package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/postgres"
	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// ownServer is one that the test may hurt, with an empty database.
func ownServer(t *testing.T, settings ...string) *servers.Postgres {
	t.Helper()
	p, err := servers.StartPostgres(t.Context(), t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err := p.CreateDatabase(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	return p
}

// seller decides tickets, one at a time, and repeats each until it is told.
type seller struct {
	book    *book
	decided []ledger.Decision
	faults  atomic.Int64
	longest time.Duration // of one call
}

func (s *seller) run(stop <-chan struct{}, tickets []shop.Ticket) {
	for _, ticket := range tickets {
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			decisions, err := s.book.Decide(context.Background(), []shop.Ticket{ticket})
			s.longest = max(s.longest, time.Since(began))
			if err == nil {
				s.decided = append(s.decided, decisions[0])
				break
			}
			s.faults.Add(1)
			time.Sleep(10 * time.Millisecond) // as whoever calls would
		}
	}
}

// survives runs sellers while hurt is done to the database, and wants every
// answer to stand afterwards.
func survives(t *testing.T, b *book, hurt func(sold func() int64)) {
	t.Helper()
	stop := make(chan struct{})
	sellers := make([]*seller, 3)
	var count atomic.Int64
	var all sync.WaitGroup
	for i := range sellers {
		s := &seller{book: b}
		sellers[i] = s
		tickets := b.tickets("s", 100_000)
		all.Go(func() {
			for _, ticket := range tickets {
				s.run(stop, []shop.Ticket{ticket})
				select {
				case <-stop:
					return
				default:
					count.Add(1)
				}
			}
		})
	}
	hurt(count.Load)
	close(stop)
	all.Wait()
	var units int64
	for _, s := range sellers {
		for _, d := range s.decided {
			if order, err := b.Order(t.Context(), d.Order.ID); err != nil || order != d.Order {
				t.Fatalf("answered %+v, stands %+v, %v", d.Order, order, err)
			}
		}
		units += int64(len(s.decided))
		if s.longest > 6*time.Second {
			t.Errorf("a call took %v", s.longest)
		}
		t.Logf("%d decided, %d faults, longest call %v", len(s.decided), s.faults.Load(), s.longest)
	}
	if held := b.held("s"); held < units || held > units+int64(len(sellers)) {
		t.Errorf("%d units held, %d orders answered", held, units)
	}
	b.sound()
}

// more waits until so many more are sold, and returns how long that took.
func more(t *testing.T, sold func() int64, count int64) time.Duration {
	t.Helper()
	began, from := time.Now(), sold()
	until(t, "more is sold", func() bool { return sold() >= from+count })
	return time.Since(began)
}

func TestWhatWasAnsweredSurvivesAServersDeath(t *testing.T) {
	t.Parallel() // it mostly waits
	p := ownServer(t)
	b := newBook(t, p.URL("shop"))
	survives(t, b, func(sold func() int64) {
		for range 3 {
			more(t, sold, 50)
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
			if err := p.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := more(t, sold, 10); took > 3*time.Second {
				t.Errorf("sold again %v after the restart", took)
			}
		}
	})
}

func TestAFrozenServerHoldsNobodyForLong(t *testing.T) {
	t.Parallel() // it mostly waits
	p := ownServer(t)
	b := newBook(t, p.URL("shop"))
	survives(t, b, func(sold func() int64) {
		more(t, sold, 50)
		if err := p.Freeze(); err != nil {
			t.Error(err)
		}
		if _, err := b.Stand(t.Context(), "s"); err == nil {
			t.Error("a frozen server answers")
		}
		if err := p.Thaw(); err != nil {
			t.Error(err)
		}
		if took := more(t, sold, 10); took > 5*time.Second {
			t.Errorf("sold again %v after the thaw", took)
		}
	})
}

// proxied is the database behind a link that can be hurt.
func proxied(t *testing.T, url string) (*servers.Proxy, string) {
	t.Helper()
	proxy, err := servers.StartProxy(t.Context(), server.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	return proxy, strings.Replace(url, server.Address, proxy.Address, 1)
}

func TestALinkMayBeCutFrozenSlowAndLossy(t *testing.T) {
	t.Parallel() // it mostly waits
	proxy, url := proxied(t, server.database(t))
	b := newBook(t, url)
	survives(t, b, func(sold func() int64) {
		for name, hurt := range map[string]func(){
			"cut": proxy.Cut, "frozen": proxy.Freeze, "slow": func() { proxy.SetDelay(50 * time.Millisecond) },
			"lossy": func() { proxy.DropReplies(9) }, "reset": proxy.CloseAll,
		} {
			more(t, sold, 30)
			hurt()
			if _, err := b.Stand(t.Context(), "s"); err == nil && (name == "cut" || name == "frozen") {
				t.Errorf("a %s link answers", name)
			}
			proxy.Heal()
			if took := more(t, sold, 10); took > 6*time.Second {
				t.Errorf("sold again %v after the link was %s", took, name)
			}
		}
	})
}

// between opens a ledger and returns where to put what it does between the
// two round trips of its next transaction: it looks at its clock there.
func between(t *testing.T, url string) (*book, *atomic.Pointer[func()]) {
	begin := time.Now()
	var next atomic.Pointer[func()]
	var looks atomic.Int64
	l := open(t, postgres.Options{URL: url, Now: time.Now, Ticks: func() time.Duration {
		if do := next.Load(); do != nil && looks.Add(1) == 2 { // the first is before the first trip
			next.Store(nil)
			looks.Store(0)
			(*do)()
		}
		return time.Since(begin)
	}})
	return &book{Ledger: l, t: t, url: url, n: new(int64)}, &next
}

func TestALostCommitIsToldWhenAskedAgain(t *testing.T) {
	direct := server.database(t)
	newBook(t, direct)
	proxy, url := proxied(t, direct)
	b, next := between(t, url)
	lost := 0
	for range 5 {
		tickets := b.tickets("s", 3)
		drop := func() { proxy.DropReplies(1) }
		next.Store(&drop)
		_, err := b.Decide(t.Context(), tickets)
		proxy.Heal()
		if err == nil {
			t.Fatal("decided although the answer was lost")
		}
		if _, err := b.Order(t.Context(), tickets[0].Claim); err == nil {
			lost++
		}
		for _, d := range b.mustDecide(tickets) {
			if d.Verdict != shop.Consumed {
				t.Errorf("asked again: %v, want consumed", d.Verdict)
			}
		}
	}
	if lost == 0 {
		t.Error("no commit was lost: nothing was tested")
	}
	if held := b.held("s"); held != 15 {
		t.Errorf("%d units held, want 15", held)
	}
	b.sound()
}

func TestANodeThatStandsStillInTheTurnstileIsSentAway(t *testing.T) {
	t.Parallel() // it mostly waits
	direct := server.database(t)
	other := newBook(t, direct)
	proxy, url := proxied(t, direct)
	b, next := between(t, url)
	*b.n = 1000
	freeze := proxy.Freeze
	next.Store(&freeze)
	first := make(chan error, 1)
	began := time.Now()
	tickets := b.tickets("s", 1)
	go func() {
		_, err := b.Decide(context.Background(), tickets)
		first <- err
	}()
	until(t, "it is in the turnstile", func() bool { return next.Load() == nil })
	other.mustSell(1)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the other node waited %v", took)
	}
	if err := <-first; err == nil {
		t.Error("decided over a frozen link")
	}
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("the call took %v", took)
	}
	proxy.Heal()
	b.mustDecide(tickets)
	b.sound()
}

func TestALockThatLastsTooLongIsWaitedForAgain(t *testing.T) {
	t.Parallel() // it mostly waits
	b := newBook(t, server.database(t))
	leave := b.hold("s")
	before := strings.Count(server.Said(), "canceling statement due to lock timeout")
	decided := make(chan error, 1)
	go func() {
		_, err := b.Decide(context.Background(), b.tickets("s", 1))
		decided <- err
	}()
	until(t, "the first attempt gives up", func() bool {
		return strings.Count(server.Said(), "canceling statement due to lock timeout") > before
	})
	b.waits()
	leave("SELECT 1")
	if err := <-decided; err != nil {
		t.Errorf("decide: %v", err)
	}
}

func TestADeadlockIsFoughtAgain(t *testing.T) {
	b := newBook(t, server.database(t))
	b.sale("r")
	// Somebody else takes the turnstiles in the other order.
	leave := b.hold("r")
	decided := make(chan error, 1)
	go func() {
		_, err := b.Decide(context.Background(), append(b.tickets("s", 1), b.tickets("r", 1)...))
		decided <- err
	}()
	b.waits()
	leave("SET deadlock_timeout = '10s'; SELECT id FROM doorbuster.sales WHERE name = 's' FOR NO KEY UPDATE")
	if err := <-decided; err != nil {
		t.Errorf("decide: %v", err)
	}
	if deadlocks := ask[int64](t, b.url, "SELECT count(*) FROM doorbuster.claims"); deadlocks != 2 {
		t.Errorf("%d claims, want 2", deadlocks)
	}
	b.sound()
}

func TestAnOrdersFaultFailsNoOtherOrder(t *testing.T) {
	b := newBook(t, server.database(t))
	decisions := b.mustSell(40)
	// A quota that was tampered with cannot be given back: its row refuses it.
	execute(t, b.url, fmt.Sprintf("UPDATE doorbuster.quotas SET units = 0 WHERE buyer = '%s'", decisions[7].Order.Buyer))
	var all sync.WaitGroup
	for i, d := range decisions {
		all.Go(func() {
			_, err := b.Cancel(t.Context(), ledger.Cancellation{Order: d.Order.ID, Buyer: d.Order.Buyer})
			if (err != nil) != (i == 7) {
				t.Errorf("order %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if held := b.held("s"); held != 1 {
		t.Errorf("%d units held, want that of the one order", held)
	}
}
