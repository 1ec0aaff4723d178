package redis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/pause"
	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func drop() shop.Bucket { return shop.Bucket{Sale: "drop"} }

// stocked opens a client whose bucket has units of "eu-42".
func stocked(tb testing.TB, url string, units int64) *Client {
	tb.Helper()
	c := open(tb, url)
	c.stock(tb, drop(), 1, units)
	return c
}

func (c *Client) stock(tb testing.TB, bucket shop.Bucket, epoch, units int64) {
	tb.Helper()
	must(tb, c.Stock().Start(tb.Context(), bucket, epoch))
	must(tb, c.Stock().ApplyGrant(tb.Context(), bucket, epoch, stock.Grant{Number: 1, SKU: "eu-42", Quantity: units}))
}

func ask(n int) stock.Ask {
	a := stock.Ask{Nonce: uint64(n), Buyer: fmt.Sprint("buyer-", n), SKU: "eu-42", Quantity: 1, Limit: 1, Live: stock.LiveUnknown}
	copy(a.Claim[:], a.Buyer)
	return a
}

func (c *Client) try(ctx context.Context, n int) (stock.Answer, error) {
	answers, err := c.Stock().Reserve(ctx, drop(), []stock.Ask{ask(n)}, nil)
	if err != nil {
		return stock.Answer{}, err
	}
	return answers[0], nil
}

func (c *Client) reserve(tb testing.TB, n int) shop.Ticket {
	tb.Helper()
	answer, err := c.try(tb.Context(), n)
	must(tb, err)
	if answer.Outcome != stock.Pending {
		tb.Fatalf("outcome of %d is %d, want pending", n, answer.Outcome)
	}
	return answer.Ticket
}

func (c *Client) look(tb testing.TB, bucket shop.Bucket) stock.Shelf {
	tb.Helper()
	shelf, err := c.Stock().Shelf(tb.Context(), bucket)
	must(tb, err)
	return shelf
}

// eventually polls until done returns nil.
func eventually(tb testing.TB, within time.Duration, done func() error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), within)
	defer cancel()
	for {
		err := done()
		if err == nil {
			return
		}
		if !pause.For(ctx, 5*time.Millisecond) {
			tb.Fatalf("not within %s: %v", within, err)
		}
	}
}

// calls returns how often the server ran a script.
func calls(tb testing.TB, server *servers.Redis) int {
	tb.Helper()
	text, err := server.Do(tb.Context(), "INFO", "commandstats")
	must(tb, err)
	for line := range strings.Lines(text) {
		var n int
		if _, err := fmt.Sscanf(line, "cmdstat_evalsha:calls=%d,", &n); err == nil {
			return n
		}
	}
	return 0
}

func TestACrowdTravelsTogether(t *testing.T) {
	const crowd, units = 4000, 1500
	server := ownRedis(t)
	c := stocked(t, server.URL(), units)
	before := calls(t, server)
	var all sync.WaitGroup
	var pending, out atomic.Int64
	for n := range crowd {
		all.Go(func() {
			answer, err := c.try(t.Context(), n)
			switch {
			case err != nil:
				t.Errorf("reserve: %v", err)
			case answer.Outcome == stock.Pending:
				pending.Add(1)
			case answer.Outcome == stock.Out:
				out.Add(1)
			}
		})
	}
	all.Wait()
	if pending.Load() != units || out.Load() != crowd-units {
		t.Errorf("%d got a unit and %d none, want %d and %d", pending.Load(), out.Load(), units, crowd-units)
	}
	made := calls(t, server) - before
	t.Logf("%d asks in %d calls", crowd, made)
	if made > crowd/8 {
		t.Errorf("%d asks took %d calls, want at most %d", crowd, made, crowd/8)
	}
}

func TestForgottenScriptsAreSentAgain(t *testing.T) {
	server := ownRedis(t)
	c := stocked(t, server.URL(), 1000)
	stop := make(chan struct{})
	var flushing sync.WaitGroup
	flushing.Go(func() {
		for {
			if err := c.conn.Do(context.Background(), c.conn.B().ScriptFlush().Build()).Error(); err != nil {
				t.Errorf("script flush: %v", err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for n := range 300 {
		ticket := c.reserve(t, n)
		must(t, c.Stock().Settle(t.Context(), drop(), []stock.Settlement{{Ticket: ticket, Verdict: shop.Consumed, Live: 1}}))
	}
	close(stop)
	flushing.Wait()
	if shelf := c.look(t, drop()); shelf.Free["eu-42"] != 700 || shelf.Tickets != 0 {
		t.Errorf("shelf is %+v, want 700 free and no ticket", shelf)
	}
}

// proxied opens a client behind a proxy.
func proxied(t *testing.T, server *servers.Redis) (*Client, *servers.Proxy) {
	t.Helper()
	proxy, err := servers.StartProxy(t.Context(), server.Address)
	must(t, err)
	t.Cleanup(func() { must(t, proxy.Close()) })
	return stocked(t, "redis://"+proxy.Address, 100), proxy
}

func TestALostReplyTakesUnitsOnce(t *testing.T) {
	c, proxy := proxied(t, oneRedis(t))
	for n := range 20 {
		proxy.DropReplies(1)
		first := c.reserve(t, n) // asked again by itself
		if again := c.reserve(t, n); !first.Same(&again) {
			t.Fatalf("two tickets of one claim: %+v and %+v", first, again)
		}
		if free := c.look(t, drop()).Free["eu-42"]; free != int64(99-n) {
			t.Fatalf("%d units free after %d reservations", free, n+1)
		}
		proxy.DropReplies(1)
		end := stock.Settlement{Ticket: first, Verdict: shop.Consumed, Live: 1}
		must(t, c.Stock().Settle(t.Context(), drop(), []stock.Settlement{end}))
	}
}

func TestACutLinkIsAnErrorAndNotANo(t *testing.T) {
	c, proxy := proxied(t, oneRedis(t))
	proxy.Cut()
	for n := range 5 {
		if answer, err := c.try(t.Context(), n); err == nil {
			t.Fatalf("answer is %+v, want an error", answer)
		}
	}
	_, err := c.Stock().Shelf(t.Context(), drop())
	if err == nil || errors.Is(err, stock.ErrUnknown) {
		t.Fatalf("error is %v; want one that makes no supplier bump", err)
	}
	proxy.Heal()
	eventually(t, 3*time.Second, func() error {
		_, err := c.try(t.Context(), 1)
		return err
	})
}

func TestAFrozenRedisHoldsNobodyLong(t *testing.T) {
	server := ownRedis(t)
	c := stocked(t, server.URL(), 100)
	c.reserve(t, 0)
	before := runtime.NumGoroutine()
	must(t, server.Freeze())
	began := time.Now()
	var all sync.WaitGroup
	var failed atomic.Int64
	for n := range 2000 {
		all.Go(func() {
			if _, err := c.try(t.Context(), n%50); err != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the last of them waited %s", took)
	}
	if failed.Load() != 2000 {
		t.Errorf("%d of 2000 got an answer from a frozen server", 2000-failed.Load())
	}
	eventually(t, 5*time.Second, func() error {
		if now := runtime.NumGoroutine(); now > before+20 {
			return fmt.Errorf("%d goroutines, before the freeze %d", now, before)
		}
		return nil
	})
	must(t, server.Thaw())
	eventually(t, 3*time.Second, func() error {
		_, err := c.try(t.Context(), 1)
		return err
	})
	shelf := c.look(t, drop())
	if shelf.Free["eu-42"]+shelf.Undecided["eu-42"] != 100 || int64(shelf.Tickets) != shelf.Undecided["eu-42"] {
		t.Errorf("the units do not add up: %+v", shelf)
	}
}

func TestWhoLeavesUndoesNothing(t *testing.T) {
	c := stocked(t, oneRedis(t).URL(), 100)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := c.try(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
	for n := range 50 {
		ctx, leave := context.WithTimeout(t.Context(), time.Duration(n)*10*time.Microsecond)
		_, _ = c.try(ctx, n) // may have been asked, or not
		leave()
		first, again := c.reserve(t, n), c.reserve(t, n)
		if !first.Same(&again) {
			t.Fatalf("two tickets of one claim: %+v and %+v", first, again)
		}
	}
	if shelf := c.look(t, drop()); shelf.Tickets != 50 || shelf.Free["eu-42"] != 50 {
		t.Errorf("shelf is %+v, want 50 tickets and 50 free", shelf)
	}
}

func TestTooManyInLineHearSo(t *testing.T) {
	c := stocked(t, oneRedis(t).URL(), 1)
	s := c.shelf(drop())
	s.counter.flights = fullFlightsMax // nobody is served
	p := &party{asks: make([]stock.Ask, waitingMax)}
	must(t, c.join(s, p))
	if _, err := c.try(t.Context(), 1); !errors.Is(err, ErrBusy) {
		t.Errorf("error is %v, want %v", err, ErrBusy)
	}
	p.left.Store(true) // who left makes room as soon as somebody is served
	s.counter.flights = 1
	c.fly(s)
	c.reserve(t, 1)
}

func TestAStockThatWasWipedIsUnknown(t *testing.T) {
	server := ownRedis(t)
	c := stocked(t, server.URL(), 10)
	ticket := c.reserve(t, 1)
	must(t, server.Restart(t.Context()))
	eventually(t, 3*time.Second, func() error { // what the file held is there
		answer, err := c.try(t.Context(), 1)
		if err == nil && !answer.Ticket.Same(&ticket) {
			t.Fatalf("another ticket after a restart: %+v, want %+v", answer.Ticket, ticket)
		}
		return err
	})
	must(t, server.Wipe(t.Context()))
	eventually(t, 3*time.Second, func() error {
		answer, err := c.try(t.Context(), 1)
		if err == nil && answer.Outcome != stock.Unknown {
			t.Fatalf("outcome is %d, want unknown", answer.Outcome)
		}
		return err
	})
	if _, err := c.Stock().Shelf(t.Context(), drop()); !errors.Is(err, stock.ErrUnknown) {
		t.Errorf("error is %v, want %v", err, stock.ErrUnknown)
	}
	c.stock(t, drop(), 2, 10)
	if ticket := c.reserve(t, 1); ticket.Epoch != 2 || ticket.Seq != 1 {
		t.Errorf("ticket is %+v, want the first of epoch 2", ticket)
	}
}

func TestAnOldSnapshotShowsItsAge(t *testing.T) {
	server := ownRedis(t, "--appendfsync", "always")
	c := stocked(t, server.URL(), 10)
	kept := t.TempDir()
	must(t, server.Snapshot(kept))
	c.reserve(t, 1)
	must(t, c.Stock().ApplyGrant(t.Context(), drop(), 1, stock.Grant{Number: 2, SKU: "eu-42", Quantity: 5}))
	must(t, server.Restore(t.Context(), kept))
	eventually(t, 3*time.Second, func() error {
		_, err := c.Stock().Shelf(t.Context(), drop())
		return err
	})
	want := stock.Shelf{
		Epoch: 1, Free: map[string]int64{"eu-42": 10}, Undecided: map[string]int64{}, LastGrant: 1,
	}
	if diff := cmp.Diff(want, c.look(t, drop())); diff != "" {
		t.Errorf("shelf (-want +got):\n%s", diff)
	}
}

func TestAPromotedReplicaGoesOn(t *testing.T) {
	master := ownRedis(t)
	proxy, err := servers.StartProxy(t.Context(), master.Address)
	must(t, err)
	t.Cleanup(func() { must(t, proxy.Close()) })
	replica, err := master.StartReplica(t.Context(), t.TempDir())
	must(t, err)
	t.Cleanup(func() { _ = replica.Kill() })
	c := stocked(t, "redis://"+proxy.Address, 10)
	ticket := c.reserve(t, 1)
	eventually(t, 3*time.Second, func() error { // replication is asynchronous
		text, err := replica.Do(t.Context(), "HLEN", c.shelf(drop()).keys.tickets)
		if err == nil && text != "1" {
			err = fmt.Errorf("%s tickets", text)
		}
		return err
	})
	proxy.Retarget(replica.Address)
	if _, err := c.try(t.Context(), 2); err == nil {
		t.Errorf("a replica reserved")
	}
	must(t, master.Kill())
	must(t, replica.Promote(t.Context()))
	eventually(t, 3*time.Second, func() error {
		answer, err := c.try(t.Context(), 1)
		if err == nil && !answer.Ticket.Same(&ticket) {
			t.Fatalf("ticket is %+v, want %+v", answer.Ticket, ticket)
		}
		return err
	})
}

func TestACloseEndsWhatWaits(t *testing.T) {
	c := stocked(t, oneRedis(t).URL(), 100)
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() { _, _ = c.try(t.Context(), n) })
	}
	c.Close()
	all.Wait()
	if _, err := c.try(t.Context(), 1); err == nil {
		t.Errorf("a closed client reserved")
	}
}
