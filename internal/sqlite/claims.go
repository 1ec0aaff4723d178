package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	claimColumns = ` c.row, c.claim, c.sale, c.sku, c.bucket, c.epoch, c.seq, c.nonce, c.key_print, c.buyer, c.quantity,
		c.taken_from, c.status, c.reason, c.amount, c.currency, c.created_at, c.pay_by, c.as_of, c.reference `
	findClaim = "SELECT row FROM claims WHERE claim = ?"
	getClaim  = "SELECT" + claimColumns + "FROM claims c WHERE c.row = ?"
	getOrder  = "SELECT" + claimColumns + "FROM claims c WHERE c.claim = ?"
	getQuota  = "SELECT units, lim, newest FROM quotas WHERE sale = ? AND buyer = ?"

	// A buyer's claims hang on one another, newest first.
	getStanding = `WITH RECURSIVE quota AS (SELECT units, newest FROM quotas WHERE sale = ? AND buyer = ?),
		mine (row, prev, n) AS (
			SELECT c.row, c.prev, 1 FROM quota JOIN claims c ON c.row = quota.newest
			UNION ALL
			SELECT c.row, c.prev, n + 1 FROM mine JOIN claims c ON c.row = mine.prev WHERE n < ?)
		SELECT` + claimColumns + `, (SELECT units FROM quota)
		FROM mine JOIN claims c ON c.row = mine.row ORDER BY c.row`
)

// Decide implements ledger.Claims.
func (l *Ledger) Decide(ctx context.Context, tickets []shop.Ticket) ([]ledger.Decision, error) {
	if len(tickets) == 0 {
		return nil, ctx.Err()
	}
	decisions, err := l.decide(ctx, tickets)
	if missing, ok := errors.AsType[*nameless](err); ok {
		if err = l.enterNames(ctx, missing.names); err == nil {
			decisions, err = l.decide(ctx, tickets)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decide %d tickets: %w", len(tickets), err)
	}
	return decisions, nil
}

func (l *Ledger) decide(ctx context.Context, tickets []shop.Ticket) ([]ledger.Decision, error) {
	var decisions []ledger.Decision
	claims, buyers := l.looks.Next()
	again := false
	err := l.write(ctx, func(ctx context.Context, t *tx) (err error) {
		decisions, err = t.decide(ctx, tickets, claims || again, buyers || again)
		if !again && code(err) == sqlite3.SQLITE_CONSTRAINT {
			again = true
			l.looks.Known(strings.Contains(err.Error(), "quotas.")) // it names the columns that must be unique
			return errAgain
		}
		return err
	})
	return decisions, err
}

// decide decides and saves the tickets. claims and buyers say which of theirs may
// be in the tables.
func (t *tx) decide(ctx context.Context, tickets []shop.Ticket, claims, buyers bool) ([]ledger.Decision, error) {
	b, err := t.book(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.gather(ctx, b, tickets); err != nil {
		return nil, err
	}
	if claims {
		if err := t.claimsOf(ctx, b, tickets); err != nil {
			return nil, err
		}
	}
	if buyers {
		if err := t.buyersOf(ctx, b, tickets); err != nil {
			return nil, err
		}
	}
	decisions := make([]ledger.Decision, 0, len(tickets))
	var missing nameless
	for i := range tickets {
		decision, err := b.Decide(tickets[i])
		if err != nil {
			return nil, err
		}
		if decision.Poison {
			missing.note(t.names, decision.Order.Sale, decision.Order.SKU)
		}
		decisions = append(decisions, decision)
	}
	if len(missing.names) > 0 { // nothing is written yet
		return nil, &missing
	}
	if err := t.save(ctx, b); err != nil {
		return nil, err
	}
	b.Number(decisions)
	return decisions, nil
}

// claimsOf loads the claims that were decided before, in the order of their
// ids, which is the order of their index.
func (t *tx) claimsOf(ctx context.Context, b *ledger.Book, tickets []shop.Ticket) error {
	ids := make([]shop.ClaimID, len(tickets))
	for i := range tickets {
		ids[i] = tickets[i].Claim
	}
	slices.SortFunc(ids, func(a, b shop.ClaimID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range slices.Compact(ids) {
		if _, err := t.claim(ctx, b, id); err != nil {
			return err
		}
	}
	return nil
}

// buyersOf loads what the tickets' buyers have. Their sales are known.
func (t *tx) buyersOf(ctx context.Context, b *ledger.Book, tickets []shop.Ticket) error {
	for i := range tickets {
		if err := t.quota(ctx, b, ledger.Holder{Sale: tickets[i].Bucket.Sale, Buyer: tickets[i].Buyer}); err != nil {
			return err
		}
	}
	return nil
}

// gather loads all that the tickets touch but their claims and buyers.
func (t *tx) gather(ctx context.Context, b *ledger.Book, tickets []shop.Ticket) error {
	for i := range tickets {
		ticket := &tickets[i]
		if i == 0 || ticket.Bucket != tickets[i-1].Bucket || ticket.SKU != tickets[i-1].SKU {
			if err := t.touch(ctx, b, ticket.Bucket, ticket.SKU); err != nil {
				return err
			}
		}
	}
	return nil
}

// claim loads a claim into the book and reports whether there is one.
func (t *tx) claim(ctx context.Context, b *ledger.Book, id shop.ClaimID) (bool, error) {
	number, err := t.number(ctx, findClaim, id[:])
	if err != nil {
		return false, fmt.Errorf("look up claim %s: %w", id, err)
	}
	if number == 0 {
		return false, nil
	}
	err = t.each(ctx, getClaim, func(r row) error {
		claim, err := t.names.claim(r)
		if err == nil {
			b.PutClaim(claim)
		}
		return err
	}, number)
	if err != nil {
		return false, fmt.Errorf("read claim %s: %w", id, err)
	}
	return true, nil
}

// quota loads a buyer's quota, unless the book has it.
func (t *tx) quota(ctx context.Context, b *ledger.Book, holder ledger.Holder) error {
	if _, ok := b.Quota(holder); ok {
		return nil
	}
	quota := &ledger.Quota{Holder: holder}
	err := t.each(ctx, getQuota, func(r row) error {
		quota.Live, quota.Limit, quota.Row, quota.Stored = r.int(0), r.int(1), r.int(2), true
		return nil
	}, t.names.sales[holder.Sale].id, holder.Buyer)
	if err != nil {
		return fmt.Errorf("read quota: %w", err)
	}
	b.PutQuota(quota)
	return nil
}

// claim reads a row of claimColumns.
func (c *catalogue) claim(r row) (*ledger.Claim, error) {
	sale, sku, err := c.names(r.int(2), r.int(3))
	if err != nil {
		return nil, err
	}
	var id shop.ClaimID
	copy(id[:], r.blob(1))
	return &ledger.Claim{
		Row: r.int(0),
		Ticket: shop.Ticket{
			Claim: id, Bucket: shop.Bucket{Sale: sale, Number: int(r.int(4))}, Epoch: r.int(5), Seq: r.int(6),
			Nonce: uint64(r.int(7)), KeyPrint: uint64(r.int(8)), //nolint:gosec // bits, not numbers
			Buyer: r.text(9), SKU: sku, Quantity: r.int(10),
		},
		From: ledger.Name(r.int(11)), //nolint:gosec // written from a Name
		Order: shop.Order{
			ID: id, Sale: sale, Buyer: r.text(9), SKU: sku, Quantity: r.int(10),
			Status: shop.Status(r.int(12)), Reason: shop.Code(r.text(13)), //nolint:gosec // written from a Status
			Amount: r.int(14), Currency: r.text(15), CreatedAt: r.time(16), PayBy: r.time(17),
			AsOf: r.int(18), Reference: r.text(19),
		},
	}, nil
}

// Order implements ledger.Claims.
func (l *Ledger) Order(ctx context.Context, id shop.ClaimID) (shop.Order, error) {
	order, err := shop.Order{}, ledger.ErrNotFound
	fault := l.read(ctx, func(ctx context.Context, c *conn) error {
		return c.each(ctx, getOrder, func(r row) error {
			claim, fault := l.names.Load().claim(r)
			if fault == nil {
				order, err = claim.Order, nil
			}
			return fault
		}, id[:])
	})
	if fault != nil {
		return order, fmt.Errorf("read order: %w", fault)
	}
	return order, err
}

// Standing implements ledger.Claims.
func (l *Ledger) Standing(ctx context.Context, sale, buyer string) (ledger.Standing, error) {
	var standing ledger.Standing
	known, ok := l.names.Load().sales[sale]
	if !ok {
		return standing, fmt.Errorf("sale %q: %w", sale, ledger.ErrNotFound)
	}
	err := l.read(ctx, func(ctx context.Context, c *conn) error {
		return c.each(ctx, getStanding, func(r row) error {
			claim, err := l.names.Load().claim(r)
			if err == nil {
				standing.Live = r.int(20)
				standing.Orders = append(standing.Orders, claim.Order)
			}
			return err
		}, known.id, buyer, int64(ledger.OrdersMax))
	})
	if err != nil {
		return ledger.Standing{}, fmt.Errorf("read standing: %w", err)
	}
	return standing, nil
}

// Decided implements ledger.Claims.
func (l *Ledger) Decided(ctx context.Context, sale string, after int64) iter.Seq2[ledger.Print, error] {
	return func(yield func(ledger.Print, error) bool) {
		query, args := "SELECT claim, key_print, row, nonce FROM claims", []any{}
		if sale != "" {
			known, ok := l.names.Load().sales[sale]
			if !ok {
				yield(ledger.Print{}, fmt.Errorf("sale %q: %w", sale, ledger.ErrNotFound))
				return
			}
			query, args = query+" WHERE row > ? AND sale = ? ORDER BY row", []any{after, known.id}
		}
		err := l.read(ctx, func(_ context.Context, c *conn) error {
			for p, err := range rows(ctx, c, query, readPrint, args...) {
				if !yield(p, err) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(ledger.Print{}, fmt.Errorf("read decided claims: %w", err))
		}
	}
}

func readPrint(r row) (ledger.Print, error) {
	p := ledger.Print{KeyPrint: uint64(r.int(1)), Row: r.int(2), Nonce: uint64(r.int(3))} //nolint:gosec // bits, not numbers
	copy(p.Claim[:], r.blob(0))
	return p, nil
}
