package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
)

const listOrders = "SELECT" + claimColumns + "FROM claims c WHERE c.sale = $1 AND c.row > $2 AND ($3 < 0 OR c.status = $3) ORDER BY c.row LIMIT $4"

// Pay implements ledger.Orders.
func (l *Ledger) Pay(ctx context.Context, payment ledger.Payment) (shop.Order, error) {
	payment.Reference, payment.EventID = plain(payment.Reference), plain(payment.EventID)
	return l.change(ctx, &job{order: payment.Order, event: payment.EventID, rule: func(b *ledger.Book) (shop.Order, error) {
		return b.Pay(payment)
	}})
}

// Cancel implements ledger.Orders.
func (l *Ledger) Cancel(ctx context.Context, cancellation ledger.Cancellation) (shop.Order, error) {
	cancellation.Reason = plain(cancellation.Reason)
	return l.change(ctx, &job{order: cancellation.Order, rule: func(b *ledger.Book) (shop.Order, error) {
		return b.Cancel(cancellation)
	}})
}

// Refund implements ledger.Orders.
func (l *Ledger) Refund(ctx context.Context, id shop.ClaimID, reference string) (shop.Order, error) {
	reference = plain(reference)
	return l.change(ctx, &job{order: id, rule: func(b *ledger.Book) (shop.Order, error) {
		return b.Refund(id, reference)
	}})
}

// Charges implements ledger.Orders.
func (l *Ledger) Charges(ctx context.Context, id shop.ClaimID) (charges []ledger.Charge, err error) {
	err = l.read(ctx, l.pools.readers, func(ctx context.Context, conn *pgx.Conn) error {
		charges = nil
		return ask(ctx, conn, func(rows pgx.Rows) error {
			charge, err := scanCharge(rows)
			charges = append(charges, charge)
			return err
		}, getCharges, [][16]byte{id})
	})
	if err != nil {
		return nil, fmt.Errorf("read charges of %s: %w", id, err)
	}
	return charges, nil
}

// plain is a text as PostgreSQL can keep it: what it cannot is spelled out, so
// that no two texts become one.
func plain(text string) string {
	if utf8.ValidString(text) && !strings.ContainsAny(text, "\x00\uFFFD") {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == 0 || r == utf8.RuneError {
			fmt.Fprintf(&b, "\uFFFD%x", text[:size])
		} else {
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// change applies a rule to one order. A refusal may come with something to
// write: it is told when that is on disk.
func (l *Ledger) change(ctx context.Context, j *job) (shop.Order, error) {
	err := l.queue.Run(ctx, j)
	if err == nil {
		err = j.err
	}
	if err != nil {
		return shop.Order{}, fmt.Errorf("order %s: %w", j.order, err)
	}
	return j.answer, j.refused
}

// runJobs applies the rules of the jobs that have not failed, in one
// transaction.
func (l *Ledger) runJobs(ctx context.Context, jobs []*job) error {
	return l.transact(ctx, l.pools.operators, func(ctx context.Context, t *tx) error {
		live := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return j.err != nil })
		owners, err := t.loadJobs(ctx, live)
		if err != nil {
			return err
		}
		for _, j := range live {
			if err := j.run(t.Book, owners); err != nil {
				return err
			}
		}
		if err := t.save(ctx, nil); err != nil {
			return err
		}
		for _, j := range live {
			t.tell(&j.answer)
		}
		return nil
	})
}

// loadJobs loads the jobs' orders, and whose the events were before.
func (t *tx) loadJobs(ctx context.Context, jobs []*job) (map[string]shop.ClaimID, error) {
	ids, events := make([][16]byte, 0, len(jobs)), []string{}
	for _, j := range jobs {
		ids = append(ids, j.order)
		if j.event != "" {
			events = append(events, j.event)
		}
	}
	owners := map[string]shop.ClaimID{}
	return owners, t.loadOrders(ctx, sorted(ids), events, owners)
}

// run applies the job's rule. A fault of the rule may have changed the book,
// so that it has to be loaded again without this job; one that was found
// before has not.
func (j *job) run(b *ledger.Book, owners map[string]shop.ClaimID) error {
	if _, ok := b.Claim(j.order); !ok {
		j.err = ledger.ErrNotFound
		return nil
	}
	if owner, ok := owners[j.event]; ok && j.event != "" && owner != j.order {
		j.err = fmt.Errorf("event %q was another order's payment already", j.event)
		return nil
	}
	j.answer, j.refused = j.rule(b)
	if _, ok := errors.AsType[shop.Refusal](j.refused); j.refused != nil && !ok {
		j.err = j.refused
		if errors.Is(j.err, ledger.ErrNotFound) { // a stranger's, and nothing was touched
			return nil
		}
		return errAgain
	}
	if j.event != "" {
		owners[j.event] = j.order
	}
	return nil
}

// List implements ledger.Orders. Its cursor is the row of the last order.
func (l *Ledger) List(ctx context.Context, query ledger.Query) ([]shop.Order, string, error) {
	known, err := l.names.find(ctx, query.Sale)
	if err != nil {
		return nil, "", err
	}
	var after int64
	if query.After != "" {
		if after, err = strconv.ParseInt(query.After, 36, 64); err != nil || after < 0 {
			return nil, "", shop.Refusal{Code: shop.Malformed, Detail: fmt.Sprintf("after %q is not a cursor: take it from next of the page before.", query.After)}
		}
	}
	status := int16(-1)
	if query.Status != nil {
		status = int16(*query.Status)
	}
	claims, err := l.orders(ctx, l.pools.operators, listOrders, known.id, after, status, query.Limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list orders of %s: %w", query.Sale, err)
	}
	var next string
	if len(claims) > query.Limit { // there is another page
		claims = claims[:query.Limit]
		next = strconv.FormatInt(claims[query.Limit-1].Row, 36)
	}
	return ordersOf(claims), next, nil
}
