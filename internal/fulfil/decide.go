package fulfil

import (
	"context"
	"errors"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/pause"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// patience is how often a batch is put to a ledger that answers and takes no
	// ticket of it, some 12 s in all. Past it the tickets wait in the stock's
	// outbox. One that does not answer is waited for: no ticket is to blame.
	patience = 10
	// splitMax bounds the tries until the first ticket of a failing batch is
	// taken: past it the ledger is down, not one of the tickets wrong.
	splitMax = 24
	// asideMax bounds the remembered claims of tickets that cannot be decided.
	asideMax = 4096
)

// decide asks the ledger until it answers. A ledger that is away or without room
// stops the selling; it goes on by itself when that is over. What a ledger that
// is there does not take in so many tries is put aside: the stock keeps it, and
// the sweeper comes back to it.
func (w *Worker) decide(ctx context.Context, tickets []shop.Ticket, faultsMax int, handOn func()) ([]ledger.Decision, bool) {
	wait, stuck, faults := retryMin, false, 0
	for {
		decisions, err := w.sift(ctx, tickets, handOn)
		if err != nil && !down(ctx, err) && w.answers(ctx) {
			faults++
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil, false
		case faults >= faultsMax && !errors.Is(err, ledger.ErrFull):
			w.putAside(tickets, err)
		default:
			if !stuck {
				stuck = true
				w.hold(len(tickets), err)
			}
			pause.For(ctx, wait)
			wait = min(2*wait, retryMax)
			continue
		}
		if stuck {
			w.release()
		}
		return decisions, true
	}
}

// answers reports whether the ledger is there, by asking for an order that
// nobody has: what it does not take all the same is at fault itself.
func (w *Worker) answers(ctx context.Context) bool {
	_, err := w.Ledger.Order(ctx, shop.ClaimID{})
	return err == nil || errors.Is(err, ledger.ErrNotFound)
}

// sift decides the tickets but for those that cannot be: one of them must not
// stop the others. An error says that the ledger took none.
func (w *Worker) sift(ctx context.Context, tickets []shop.Ticket, handOn func()) ([]ledger.Decision, error) {
	decisions, err := w.Ledger.Decide(ctx, tickets)
	handOn()
	if err == nil {
		w.forgive(tickets)
		return decisions, nil
	}
	if down(ctx, err) {
		return nil, err
	}
	s := &sieve{worker: w, left: splitMax}
	if err := s.split(ctx, tickets, err); err != nil {
		return s.decisions, err
	}
	if len(s.decisions) == 0 && !unsound(s.why) {
		return nil, s.why
	}
	w.putAside(s.rest, s.why)
	return s.decisions, nil
}

// down reports an error that concerns every ticket.
func down(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ledger.ErrFull)
}

// unsound reports an error that concerns a ticket, whatever the ledger's state.
func unsound(err error) bool {
	return errors.Is(err, ledger.ErrUnsound) || errors.Is(err, ledger.ErrNotFound)
}

// sieve halves a batch until what fails is one ticket.
type sieve struct {
	worker    *Worker
	left      int // tries until the ledger is taken to be down
	decisions []ledger.Decision
	rest      []shop.Ticket
	why       error // of the last of rest
}

func (s *sieve) split(ctx context.Context, tickets []shop.Ticket, why error) error {
	if len(tickets) == 1 {
		s.rest, s.why = append(s.rest, tickets[0]), why
		return nil
	}
	half := len(tickets) / 2
	for _, part := range [][]shop.Ticket{tickets[:half], tickets[half:]} {
		decisions, err := s.worker.Ledger.Decide(ctx, part)
		if err == nil {
			s.decisions = append(s.decisions, decisions...)
			continue
		}
		if s.left--; down(ctx, err) || (s.left < 0 && len(s.decisions) == 0 && !unsound(err)) {
			return err
		}
		if err := s.split(ctx, part, err); err != nil {
			return err
		}
	}
	return nil
}

// hold stops the selling for a batch that the ledger does not take. A
// suspension of somebody else's stays as it is.
func (w *Worker) hold(tickets int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stuck++; w.stuck > 1 {
		return // the log has it
	}
	w.Log.Error("the ledger cannot write; selling stops until it can", "tickets", tickets, "error", err)
	if w.Board.Suspended() == nil {
		w.suspended = true
		w.Board.Suspend(suspension(err))
	}
}

// release lets the selling go on once no batch is stuck any more.
func (w *Worker) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stuck--; w.stuck == 0 && w.suspended {
		w.suspended = false
		w.Board.Resume()
		w.Log.Info("no batch waits for the ledger any more; selling goes on")
	}
}

func suspension(err error) shop.Refusal {
	no := shop.Refusal{
		Code: shop.Unavailable, RetryAfter: 2 * time.Second,
		Detail: "The shop cannot take orders at the moment; ask again with the same Idempotency-Key.",
	}
	if errors.Is(err, ledger.ErrFull) {
		no.Detail = "The shop has no room to write orders at the moment; ask again with the same Idempotency-Key."
	}
	return no
}

// putAside notes tickets that cannot be decided, and raises the alarm.
func (w *Worker) putAside(tickets []shop.Ticket, why error) {
	if len(tickets) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.aside == nil {
		w.aside = map[shop.ClaimID]bool{}
	}
	for i := range tickets {
		if len(w.aside) < asideMax {
			w.aside[tickets[i].Claim] = true
		}
	}
	w.Log.Error("tickets cannot be decided; the stock keeps them", "tickets", len(tickets), "first", tickets[0].Claim.String(), "error", why)
}

// forgive forgets that decided tickets were put aside.
func (w *Worker) forgive(tickets []shop.Ticket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.aside) == 0 {
		return
	}
	for i := range tickets {
		delete(w.aside, tickets[i].Claim)
	}
}

// Aside returns how many tickets cannot be decided: more than none is an
// alarm. It counts to some thousand.
func (w *Worker) Aside() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.aside)
}

// isAside reports whether the claim's ticket could not be decided.
func (w *Worker) isAside(claim shop.ClaimID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.aside[claim]
}

// recall forgets what was put aside: what still stands in the stock is tried
// again by the node that sweeps, and put aside again where it fails.
func (w *Worker) recall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.aside)
}
