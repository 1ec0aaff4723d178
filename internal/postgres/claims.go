package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	claimColumns = ` c.row, c.claim, c.sale, c.sku, c.bucket, c.epoch, c.seq, c.nonce, c.key_print, c.buyer, c.quantity,
		c.taken_from, c.status, c.reason, c.amount, c.currency, c.created_at, c.pay_by, c.as_of, c.reference `
	getOrder = "SELECT" + claimColumns + "FROM claims c WHERE c.claim = $1"

	// A buyer's claims hang on one another, newest first.
	getStanding = `WITH RECURSIVE quota AS (SELECT sale, units, newest FROM quotas WHERE sale = $1 AND buyer = $2),
		mine (row, prev, n) AS (
			SELECT c.row, c.prev, 1 FROM quota JOIN claims c ON c.sale = quota.sale AND c.row = quota.newest
			UNION ALL
			SELECT c.row, c.prev, n + 1 FROM mine JOIN claims c ON c.sale = $1 AND c.row = mine.prev WHERE n < $3)
		SELECT` + claimColumns + `, (SELECT units FROM quota)
		FROM mine JOIN claims c ON c.sale = $1 AND c.row = mine.row ORDER BY c.row`

	getDecided = "SELECT claim, key_print, row, nonce FROM claims WHERE sale = $1 AND row > $2 ORDER BY row LIMIT $3"
	// decidedPage is how many claims are read at once: within the time of a
	// statement, and few in memory.
	decidedPage = 10_000
)

// Decide implements ledger.Claims. A batch is one transaction of two round
// trips. Where it is not known whether a batch is on disk, deciding it again
// tells.
func (l *Ledger) Decide(ctx context.Context, tickets []shop.Ticket) ([]ledger.Decision, error) {
	if len(tickets) == 0 {
		return nil, ctx.Err()
	}
	var decisions []ledger.Decision
	err := l.transact(ctx, l.pools.worker, func(ctx context.Context, t *tx) (err error) {
		decisions, err = t.decide(ctx, tickets)
		l.pace.note(t.waited)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("decide %d tickets: %w", len(tickets), err)
	}
	return decisions, nil
}

func (t *tx) decide(ctx context.Context, tickets []shop.Ticket) ([]ledger.Decision, error) {
	t.blocks = max(t.blocks, 1+len(tickets)*linesPerTicket/blockSize)
	if err := t.gather(ctx, tickets); err != nil {
		return nil, err
	}
	decisions := make([]ledger.Decision, 0, len(tickets))
	for i := range tickets {
		decision, err := t.Decide(tickets[i])
		if err != nil {
			return nil, err
		}
		decisions = append(decisions, decision)
	}
	if err := t.save(ctx, nil); err != nil {
		return nil, err
	}
	for i := range decisions {
		t.tell(&decisions[i].Order)
	}
	t.Number(decisions)
	return decisions, nil
}

// gather loads all that the tickets touch.
func (t *tx) gather(ctx context.Context, tickets []shop.Ticket) error {
	w := wants{holders: map[ledger.Holder]bool{}, items: map[[2]string]bool{}}
	for i := range tickets {
		known, err := t.l.names.find(ctx, tickets[i].Bucket.Sale)
		if err == nil {
			err = w.add(known, &tickets[i])
		}
		if err != nil {
			return err
		}
	}
	q := t.newLoad()
	q.lock(lockSales, w.sales)
	claims, buyers := t.l.looks.Next()
	if claims || t.again {
		q.claims(sorted(w.claims))
	}
	if buyers || t.again {
		q.quotas(getQuotas, w.buyerSales, w.buyers)
	}
	q.accounts(getAccounts, w.skuSales, w.skus)
	q.buckets(w.sales)
	return q.run(ctx)
}

// wants is what a batch of tickets touches, each thing once.
type wants struct {
	sales, buyerSales, skuSales []int32
	buyers, skus                []string
	claims                      [][16]byte
	holders                     map[ledger.Holder]bool
	items                       map[[2]string]bool
}

func (w *wants) add(known *sale, ticket *shop.Ticket) error {
	if !utf8.ValidString(ticket.Buyer) || strings.ContainsRune(ticket.Buyer, 0) {
		return fmt.Errorf("%w: the buyer of %s is no text", ledger.ErrUnsound, ticket.Claim)
	}
	w.claims = append(w.claims, ticket.Claim)
	if !slices.Contains(w.sales, known.id) {
		w.sales = append(w.sales, known.id)
	}
	if holder := (ledger.Holder{Sale: known.name, Buyer: ticket.Buyer}); !w.holders[holder] {
		w.holders[holder] = true
		w.buyerSales, w.buyers = append(w.buyerSales, known.id), append(w.buyers, ticket.Buyer)
	}
	if item := [2]string{known.name, ticket.SKU}; !w.items[item] && shop.ValidSKU(ticket.SKU) {
		w.items[item] = true
		w.skuSales, w.skus = append(w.skuSales, known.id), append(w.skus, ticket.SKU)
	}
	return nil
}

// sorted puts ids into the order of their index, each once.
func sorted(ids [][16]byte) [][16]byte {
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// scanClaim reads a row of claimColumns, and more behind them.
func scanClaim(rows pgx.Row, name func(int32) (string, error), more ...any) (*ledger.Claim, error) {
	var claim ledger.Claim
	var id [16]byte
	var saleID int32
	var from, status int16
	var nonce, keyPrint int64
	var reason string
	var payBy *time.Time
	ticket, order := &claim.Ticket, &claim.Order
	err := rows.Scan(append([]any{
		&claim.Row, &id, &saleID, &ticket.SKU, &ticket.Bucket.Number, &ticket.Epoch, &ticket.Seq, &nonce, &keyPrint,
		&ticket.Buyer, &ticket.Quantity, &from, &status, &reason, &order.Amount, &order.Currency, &order.CreatedAt,
		&payBy, &order.AsOf, &order.Reference,
	}, more...)...)
	if err != nil {
		return nil, err
	}
	if ticket.Bucket.Sale, err = name(saleID); err != nil {
		return nil, err
	}
	ticket.Claim, ticket.Nonce, ticket.KeyPrint = id, uint64(nonce), uint64(keyPrint) //nolint:gosec // bits, not numbers
	claim.From = ledger.Name(from)                                                    //nolint:gosec // written from a Name
	order.ID, order.Sale, order.Buyer, order.SKU, order.Quantity = id, ticket.Bucket.Sale, ticket.Buyer, ticket.SKU, ticket.Quantity
	order.Status, order.Reason = shop.Status(status), shop.Code(reason) //nolint:gosec // written from a Status
	order.CreatedAt = order.CreatedAt.UTC()
	if payBy != nil {
		order.PayBy = payBy.UTC()
	}
	return &claim, nil
}

// read runs one reading, and once more where it met a sale that this node did
// not know.
func (l *Ledger) read(ctx context.Context, pool *pgxpool.Pool, do func(ctx context.Context, conn *pgx.Conn) error) error {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), callMax) // a caller who leaves must not cost a connection
	defer cancel()
	once := func() error {
		conn, err := acquire(ctx, own, pool)
		if err != nil {
			return err
		}
		defer conn.Release()
		return do(own, conn.Conn())
	}
	err := once()
	if errors.Is(err, errStale) {
		if _, err := l.names.refresh(own); err != nil {
			return err
		}
		err = once()
	}
	return explain(err)
}

// orders reads the orders that a query over claimColumns finds.
func (l *Ledger) orders(ctx context.Context, pool *pgxpool.Pool, query string, args ...any) (claims []*ledger.Claim, err error) {
	err = l.read(ctx, pool, func(ctx context.Context, conn *pgx.Conn) error {
		claims = nil
		return ask(ctx, conn, func(rows pgx.Rows) error {
			claim, err := scanClaim(rows, l.names.name)
			claims = append(claims, claim)
			return err
		}, query, args...)
	})
	return claims, err
}

// Order implements ledger.Claims.
func (l *Ledger) Order(ctx context.Context, id shop.ClaimID) (shop.Order, error) {
	claims, err := l.orders(ctx, l.pools.readers, getOrder, [16]byte(id))
	if err != nil {
		return shop.Order{}, fmt.Errorf("read order: %w", err)
	}
	if len(claims) == 0 {
		return shop.Order{}, ledger.ErrNotFound
	}
	return claims[0].Order, nil
}

// Standing implements ledger.Claims.
func (l *Ledger) Standing(ctx context.Context, sale, buyer string) (ledger.Standing, error) {
	var standing ledger.Standing
	known, err := l.names.find(ctx, sale)
	if err != nil {
		return standing, err
	}
	err = l.read(ctx, l.pools.readers, func(ctx context.Context, conn *pgx.Conn) error {
		standing = ledger.Standing{}
		return ask(ctx, conn, func(rows pgx.Rows) error {
			claim, err := scanClaim(rows, l.names.name, &standing.Live)
			if err == nil {
				standing.Orders = append(standing.Orders, claim.Order)
			}
			return err
		}, getStanding, known.id, buyer, ledger.OrdersMax)
	})
	if err != nil {
		return ledger.Standing{}, fmt.Errorf("read standing: %w", err)
	}
	return standing, nil
}

// Decided implements ledger.Claims.
func (l *Ledger) Decided(ctx context.Context, sale string, after int64) iter.Seq2[ledger.Print, error] {
	return func(yield func(ledger.Print, error) bool) {
		if sale != "" {
			l.decided(ctx, sale, after, yield)
			return
		}
		all, err := l.names.refresh(ctx)
		if err != nil {
			yield(ledger.Print{}, err)
			return
		}
		for _, one := range all {
			if !l.decided(ctx, one.name, 0, yield) {
				return
			}
		}
	}
}

// decided yields one sale's claims, and reports whether more are wanted.
func (l *Ledger) decided(ctx context.Context, sale string, after int64, yield func(ledger.Print, error) bool) bool {
	known, err := l.names.find(ctx, sale)
	for err == nil {
		var page []ledger.Print
		if page, err = l.decidedPage(ctx, known.id, after); err != nil {
			break
		}
		for _, p := range page {
			if !yield(p, nil) {
				return false
			}
		}
		if len(page) < decidedPage {
			return true
		}
		after = page[len(page)-1].Row
	}
	yield(ledger.Print{}, fmt.Errorf("read decided claims: %w", err))
	return false
}

func (l *Ledger) decidedPage(ctx context.Context, sale int32, after int64) (page []ledger.Print, err error) {
	err = l.read(ctx, l.pools.readers, func(ctx context.Context, conn *pgx.Conn) error {
		page = nil
		return ask(ctx, conn, func(rows pgx.Rows) error {
			var p ledger.Print
			var id [16]byte
			var keyPrint, nonce int64
			err := rows.Scan(&id, &keyPrint, &p.Row, &nonce)
			p.Claim, p.KeyPrint, p.Nonce = id, uint64(keyPrint), uint64(nonce) //nolint:gosec // bits, not numbers
			page = append(page, p)
			return err
		}, getDecided, sale, after, decidedPage)
	})
	return page, err
}
