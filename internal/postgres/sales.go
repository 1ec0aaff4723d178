package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
)

const moveSales = "UPDATE sales s SET phase = n.phase FROM unnest($1::integer[], $2::smallint[]) AS n (id, phase) WHERE s.id = n.id"

// Sales implements ledger.Sales: one query, but for documents that are new to
// this node.
func (l *Ledger) Sales(ctx context.Context) ([]ledger.Listing, error) {
	all, err := l.names.refresh(ctx)
	if err != nil {
		return nil, explain(err)
	}
	listings := make([]ledger.Listing, 0, len(all))
	for _, one := range all {
		listings = append(listings, ledger.Listing{
			Sale: *l.names.of(one.id).index.Sale, Phase: one.phase, Buckets: one.buckets, Version: one.version,
		})
	}
	return listings, nil
}

// Move implements ledger.Sales.
func (l *Ledger) Move(ctx context.Context, name string, verb shop.Verb) (shop.Phase, error) {
	var phase shop.Phase
	err := l.transact(ctx, l.pools.operators, func(ctx context.Context, t *tx) error {
		known, err := l.names.find(ctx, name)
		if err != nil {
			return err
		}
		q := t.newLoad()
		q.lock(lockSales, []int32{known.id})
		if err := q.run(ctx); err != nil {
			return err
		}
		if phase, err = ledger.NextPhase(t.locked[name].phase, verb); err != nil {
			return err
		}
		return t.move(ctx, map[string]shop.Phase{name: phase})
	})
	if err != nil {
		return phase, fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return phase, nil
}

// move saves the locked sales' new phases.
func (t *tx) move(ctx context.Context, phases map[string]shop.Phase) error {
	var ids []int32
	var numbers []int16
	for name, phase := range phases {
		if row := t.locked[name]; row.phase != phase {
			row.changed = true
			ids, numbers = append(ids, row.id), append(numbers, int16(phase))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return t.save(ctx, func(batch *pgx.Batch) { batch.Queue(moveSales, ids, numbers) })
}

// Flip implements ledger.Sales. It writes only where a sale has to move.
func (l *Ledger) Flip(ctx context.Context, heldBack []string) ([]string, error) {
	listings, err := l.Sales(ctx)
	if err != nil {
		return nil, err
	}
	now := l.clock.Now()
	var ids []int32
	for i := range listings {
		one := &listings[i]
		if one.Sale.DueAt(now, one.Phase) != one.Phase && !slices.Contains(heldBack, one.Sale.ID) {
			ids = append(ids, l.names.get(one.Sale.ID).id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var moved []string
	err = l.transact(ctx, l.pools.worker, func(ctx context.Context, t *tx) error {
		moved = nil
		q := t.newLoad()
		q.lock(lockSales, ids)
		if err := q.run(ctx); err != nil {
			return err
		}
		due := map[string]shop.Phase{}
		for name, row := range t.locked {
			if phase := row.index.Sale.DueAt(t.Now, row.phase); phase != row.phase {
				due[name], moved = phase, append(moved, name)
			}
		}
		return t.move(ctx, due)
	})
	if err != nil {
		return nil, fmt.Errorf("move sales to their phases: %w", err)
	}
	slices.Sort(moved)
	return moved, nil
}

// Publish implements ledger.Sales. Nodes that publish the same document at
// once take turns: the first one creates the sale.
func (l *Ledger) Publish(ctx context.Context, document shop.Sale) (ledger.Published, error) {
	p := &publication{document: &document, text: shop.EncodeSale(document), buckets: l.options.Buckets}
	hash := sha256.Sum256(p.text)
	p.hash = hash[:]
	err := l.transact(ctx, l.pools.operators, p.run)
	if err != nil {
		return ledger.Same, fmt.Errorf("publish %s: %w", document.ID, err)
	}
	if p.published != ledger.Same {
		l.names.put(map[int32]*sale{p.next.id: p.next.sale})
	}
	return p.published, nil
}

const (
	insertSale     = "INSERT INTO sales (name, buckets, at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
	lockSaleNamed  = "SELECT" + saleColumns + "FROM sales WHERE name = $1 FOR NO KEY UPDATE"
	findRevision   = "SELECT EXISTS (SELECT FROM sales s JOIN revisions r ON r.sale = s.id WHERE s.name = $1 AND r.hash = $2)"
	getNamed       = "SELECT a.sale, a.sku, a.name, a.bucket, a.units FROM sales s JOIN accounts a ON a.sale = s.id WHERE s.name = $1"
	insertBuckets  = "INSERT INTO buckets (sale, number) SELECT $1, generate_series(0, $2::integer - 1)"
	insertRevision = "INSERT INTO revisions (sale, number, seq, at, hash, document) VALUES ($1, $2, $3, $4, $5, $6)"
	setRevision    = "UPDATE sales SET revision = $2 WHERE id = $1"
)

// publication is one document on its way into the books.
type publication struct {
	document   *shop.Sale
	text, hash []byte
	buckets    int
	published  ledger.Published

	seen bool     // this document was published before
	next *saleRow // locked
	ledger.Publication
}

func (p *publication) run(ctx context.Context, t *tx) error {
	p.published, p.seen = ledger.Same, false
	if err := p.load(ctx, t); err != nil || p.seen {
		return err
	}
	var err error
	if p.published, err = t.Publish(p.Publication); err != nil {
		return err
	}
	p.next.changed = true
	return t.save(ctx, func(batch *pgx.Batch) {
		if p.Old == nil {
			batch.Queue(insertBuckets, p.next.id, p.next.buckets)
		}
		batch.Queue(insertRevision, p.next.id, p.next.revision, t.Head, t.Now, p.hash, string(p.text))
		batch.Queue(setRevision, p.next.id, p.next.revision)
	})
}

// load passes the turnstile of a sale that may not be there yet.
func (p *publication) load(ctx context.Context, t *tx) error {
	id := p.document.ID
	q := t.newLoad()
	q.batch.Queue(insertSale, id, p.buckets, t.l.clock.Now())
	q.batch.Queue(lockSaleNamed, id).QueryRow(func(row pgx.Row) error { return p.lock(t, row) })
	q.batch.Queue(findRevision, id, p.hash).QueryRow(func(row pgx.Row) error { return row.Scan(&p.seen) })
	q.number()
	q.batch.Queue(getNamed, id).Query(each(func(rows pgx.Rows) error {
		account, units, err := scanAccount(rows, p.next.named)
		if err == nil {
			t.PutBalance(account, units)
		}
		return err
	}))
	return q.run(ctx)
}

// lock notes the sale's row, and the form in which the document leaves it.
func (p *publication) lock(t *tx, row pgx.Row) error {
	next, err := scanSale(row)
	if err != nil {
		return err
	}
	p.Publication = ledger.Publication{Next: ledger.NewSaleIndex(p.document), Phase: next.phase, Revision: next.revision + 1}
	if next.revision > 0 {
		old := t.l.names.of(next.id)
		if old == nil || old.revision != next.revision {
			return errStale
		}
		p.Old = old.index
	}
	next.name, next.index, next.revision = p.document.ID, p.Next, p.Revision
	p.next = next
	t.locked[next.name] = next
	return nil
}
