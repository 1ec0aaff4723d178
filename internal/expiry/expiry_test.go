package expiry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/expiry"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/payments/paymentstest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const hold = time.Minute

// till is a provider that knows charges, and can be made to hang or fail.
type till struct {
	mu      sync.Mutex
	charges map[shop.ClaimID]payments.Charge
	ended   []shop.ClaimID
	asked   int
	fault   error
	hangs   bool
}

func (p *till) Start(context.Context, shop.Order, string) (string, error) { return "/", nil }

func (p *till) Event(http.Header, []byte) (payments.Event, error) {
	return payments.Event{}, payments.ErrIgnored
}

func (p *till) Paid(ctx context.Context, id shop.ClaimID) (payments.Charge, bool, error) {
	p.mu.Lock()
	p.asked++
	charge, there, fault, hangs := p.charges[id], p.charges[id].Reference != "", p.fault, p.hangs
	p.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return payments.Charge{}, false, ctx.Err()
	}
	return charge, there && fault == nil, fault
}

func (p *till) End(_ context.Context, id shop.ClaimID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, id)
	return p.fault
}

func (p *till) take(order *shop.Order, amount int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.charges[order.ID] = payments.Charge{
		Reference: "charge of " + order.ID.String(), Order: order.ID, Amount: amount, Currency: order.Currency,
	}
}

// house is a ledger with expirers at work, in a bubble of synctest.
type house struct {
	*paymentstest.Ledger
	till     *till
	offset   atomic.Int64 // by which somebody set the wall clock
	clock    *ledger.Clock
	expirer  *expiry.Expirer
	released chan []string
	log      bytes.Buffer // read when nothing is under way
}

const stock = 1000

func play(t *testing.T, expirers int, act func(t *testing.T, h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &house{till: &till{charges: map[shop.ClaimID]payments.Charge{}}, released: make(chan []string, stock)}
		begin := time.Now()
		wall := func() time.Time { return time.Now().Add(time.Duration(h.offset.Load())) }
		h.clock = ledger.NewClock(wall, func() time.Duration { return time.Since(begin) }, time.Time{})
		var err error
		h.Ledger, err = paymentstest.NewLedger(shop.Sale{
			ID: "retro-85", Hold: hold, LimitPerBuyer: 1000,
			Items: []shop.Item{{SKU: "eu-42", Stock: stock, Price: shop.Money{Amount: 12900, Currency: "EUR"}}},
		}, h.clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range expirers {
			expirer := &expiry.Expirer{
				Holds: h.Ledger, Orders: h.Ledger, Provider: h.till, Clock: h.clock,
				Released: func(sales []string) { h.released <- sales }, Log: slog.New(slog.NewTextHandler(&h.log, nil)),
			}
			h.expirer = expirer
			all.Go(func() {
				if err := expirer.Run(ctx); err != nil {
					t.Errorf("run: %v", err)
				}
			})
		}
		act(t, h)
		cancel()
		all.Wait()
		if faults := h.Broken(nil); len(faults) > 0 {
			t.Errorf("%q", faults)
		}
	})
}

func (h *house) buy(t *testing.T) shop.Order {
	t.Helper()
	order, err := h.Buy("retro-85", "eu-42", "ann")
	if err != nil {
		t.Fatal(err)
	}
	return order
}

func (h *house) want(t *testing.T, order *shop.Order, status shop.Status) {
	t.Helper()
	synctest.Wait()
	if now, err := h.Order(t.Context(), order.ID); err != nil || now.Status != status {
		t.Errorf("the order is %s, %v; want %s", now.Status, err, status)
	}
}

func TestUnitsComeBackASecondAfterTheirDeadline(t *testing.T) {
	play(t, 1, func(t *testing.T, h *house) {
		order := h.buy(t)
		time.Sleep(hold - time.Millisecond)
		h.want(t, &order, shop.AwaitingPayment)
		time.Sleep(time.Second)
		h.want(t, &order, shop.Expired)
		if sales := <-h.released; !slices.Equal(sales, []string{"retro-85"}) {
			t.Errorf("told of %q, want the sale", sales)
		}
		if !slices.Equal(h.till.ended, []shop.ClaimID{order.ID}) || h.till.asked != 1 {
			t.Errorf("provider asked %d times, told of the end of %v; want once each", h.till.asked, h.till.ended)
		}
	})
}

func TestMoneyThatIsThereBeforeTheReleasePays(t *testing.T) {
	play(t, 1, func(t *testing.T, h *house) {
		paid, wrong, unpaid := h.buy(t), h.buy(t), h.buy(t)
		h.till.take(&paid, paid.Amount)
		h.till.take(&wrong, 1)
		time.Sleep(hold + time.Second)
		h.want(t, &paid, shop.Paid)
		h.want(t, &wrong, shop.Expired)
		h.want(t, &unpaid, shop.Expired)
		if slices.Contains(h.till.ended, paid.ID) {
			t.Error("a paid order's page was ended")
		}
		reference := "charge of " + wrong.ID.String()
		if faults := h.Broken([]string{reference}); len(faults) > 0 {
			t.Errorf("money of another amount: %q", faults)
		}
	})
}

func TestAProviderThatDoesNotAnswerHoldsNothingBack(t *testing.T) {
	for name, act := range map[string]func(*till){
		"fails": func(p *till) { p.fault = errors.New("out of order") },
		"hangs": func(p *till) { p.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(t *testing.T, h *house) {
				orders := []shop.Order{h.buy(t), h.buy(t), h.buy(t)}
				h.till.mu.Lock()
				act(h.till)
				h.till.mu.Unlock()
				time.Sleep(hold + 4*time.Second)
				for _, order := range orders {
					h.want(t, &order, shop.Expired)
				}
				if h.till.asked != len(orders) {
					t.Errorf("asked %d times about %d orders, want once each", h.till.asked, len(orders))
				}
			})
		})
	}
}

func TestAnyNumberOfExpirersReleaseEachUnitOnce(t *testing.T) {
	play(t, 4, func(t *testing.T, h *house) {
		var orders []shop.Order
		for range stock {
			orders = append(orders, h.buy(t))
		}
		time.Sleep(hold + time.Second)
		for i := range orders {
			h.want(t, &orders[i], shop.Expired)
		}
		slices.SortFunc(h.till.ended, func(a, b shop.ClaimID) int { return bytes.Compare(a[:], b[:]) })
		if got := len(slices.Compact(h.till.ended)); got != stock || len(h.till.ended) != stock {
			t.Errorf("%d pages ended %d times, want %d once", got, len(h.till.ended), stock)
		}
	})
}

func TestALedgerThatIsFullDelaysAndLosesNothing(t *testing.T) {
	play(t, 1, func(t *testing.T, h *house) {
		order := h.buy(t)
		h.Fail(ledger.ErrFull)
		time.Sleep(hold + 10*time.Second + 500*time.Millisecond)
		h.Fail(nil)
		h.want(t, &order, shop.AwaitingPayment)
		time.Sleep(time.Second)
		h.want(t, &order, shop.Expired)
		if got := strings.Count(h.log.String(), "nothing is released"); got != 1 {
			t.Errorf("the log says %d times that the ledger fails, want once:\n%s", got, h.log.String())
		}
	})
}

// stubborn is a ledger that cannot record the money of one order.
type stubborn struct {
	*paymentstest.Ledger
	order shop.ClaimID
}

func (s *stubborn) Pay(ctx context.Context, payment ledger.Payment) (shop.Order, error) {
	if payment.Order == s.order {
		return shop.Order{}, errors.New("cannot be written")
	}
	return s.Ledger.Pay(ctx, payment)
}

func TestMoneyThatCannotBeRecordedKeepsOnlyItsOwnOrder(t *testing.T) {
	play(t, 0, func(t *testing.T, h *house) {
		paid, other := h.buy(t), h.buy(t)
		h.till.take(&paid, paid.Amount)
		e := &expiry.Expirer{
			Holds: h.Ledger, Orders: &stubborn{h.Ledger, paid.ID}, Provider: h.till, Clock: h.clock, Log: slog.New(slog.DiscardHandler),
		}
		ctx, cancel := context.WithTimeout(t.Context(), hold+2*time.Second)
		defer cancel()
		if err := e.Run(ctx); err != nil {
			t.Fatal(err)
		}
		h.want(t, &paid, shop.AwaitingPayment)
		h.want(t, &other, shop.Expired)
	})
}

// design: faults.md 41.
func TestAClockSetForwardExpiresNothingUntilItIsBelieved(t *testing.T) {
	play(t, 1, func(t *testing.T, h *house) {
		order := h.buy(t)
		time.Sleep(10 * time.Second)
		h.offset.Store(int64(time.Hour))
		time.Sleep(9 * time.Minute) // the ledger's clock goes on: the hold is over
		h.want(t, &order, shop.AwaitingPayment)
		if !h.expirer.Paused() || h.expirer.Step().Round(time.Minute) != time.Hour {
			t.Errorf("paused %v, step %s; want a pause that says an hour", h.expirer.Paused(), h.expirer.Step())
		}
		time.Sleep(2 * time.Minute)
		h.want(t, &order, shop.Expired)
		if h.expirer.Paused() || h.expirer.Step() != 0 {
			t.Error("still paused after the clock was believed")
		}
		fresh := h.buy(t)
		time.Sleep(hold - time.Second)
		h.want(t, &fresh, shop.AwaitingPayment)
		for _, want := range []string{"the clock was set", "believed again"} {
			if got := strings.Count(h.log.String(), want); got != 1 {
				t.Errorf("the log says %q %d times, want once:\n%s", want, got, h.log.String())
			}
		}
	})
}

func TestAClockThatIsSetRightAgainEndsThePause(t *testing.T) {
	play(t, 1, func(t *testing.T, h *house) {
		order := h.buy(t)
		h.offset.Store(int64(time.Hour))
		time.Sleep(2 * hold)
		h.want(t, &order, shop.AwaitingPayment)
		h.offset.Store(0)
		time.Sleep(time.Second)
		h.want(t, &order, shop.Expired)
	})
}

// design: faults.md 42.
func TestAClockSetBackDelaysNoDeadline(t *testing.T) {
	play(t, 1, func(t *testing.T, h *house) {
		order := h.buy(t)
		h.offset.Store(-int64(24 * time.Hour))
		time.Sleep(hold - time.Second)
		h.want(t, &order, shop.AwaitingPayment)
		time.Sleep(2 * time.Second)
		h.want(t, &order, shop.Expired)
		if h.expirer.Step() > -23*time.Hour {
			t.Errorf("step %s, want a day back", h.expirer.Step())
		}
	})
}

func TestAHouseWithoutAProviderExpiresTheSame(t *testing.T) {
	play(t, 0, func(t *testing.T, h *house) {
		order := h.buy(t)
		e := &expiry.Expirer{Holds: h.Ledger, Orders: h.Ledger, Clock: h.clock, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), hold+2*time.Second)
		defer cancel()
		if err := e.Run(ctx); err != nil {
			t.Fatal(err)
		}
		h.want(t, &order, shop.Expired)
	})
}
