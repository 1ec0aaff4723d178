package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5/pgxpool"
)

// catalogue remembers what never changes: which number stands for which sale,
// and the document of each revision. Other nodes publish too, so what it does
// not know it asks for.
type catalogue struct {
	pool *pgxpool.Pool

	mu     sync.RWMutex
	byName map[string]*sale
	byID   map[int32]*sale
}

// sale is a sale in the newest form that this node has met.
type sale struct {
	id       int32
	name     string
	buckets  int
	revision int64
	index    *ledger.SaleIndex
}

// named returns the sale's name if the number is the sale's, else errStale.
func (s *sale) named(id int32) (string, error) {
	if id != s.id {
		return "", errStale
	}
	return s.name, nil
}

// listing is a row of listSales.
type listing struct {
	id       int32
	name     string
	phase    shop.Phase
	buckets  int
	version  int64
	revision int64
}

const (
	listSales    = `SELECT id, name, phase, buckets, version, revision FROM sales ORDER BY name`
	getDocuments = `SELECT r.sale, r.number, r.document FROM unnest($1::integer[], $2::bigint[]) AS k (sale, number)
		JOIN revisions r ON r.sale = k.sale AND r.number = k.number`
)

// find returns a sale by its name, or ErrNotFound.
func (c *catalogue) find(ctx context.Context, name string) (*sale, error) {
	if known := c.get(name); known != nil {
		return known, nil
	}
	if _, err := c.refresh(ctx); err != nil {
		return nil, err
	}
	if known := c.get(name); known != nil {
		return known, nil
	}
	return nil, fmt.Errorf("sale %q: %w", name, ledger.ErrNotFound)
}

func (c *catalogue) get(name string) *sale {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byName[name]
}

// of returns a sale by its number; nil where this node has not met it.
func (c *catalogue) of(id int32) *sale {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byID[id]
}

// name is the sale behind a number, or errStale.
func (c *catalogue) name(id int32) (string, error) {
	if known := c.of(id); known != nil {
		return known.name, nil
	}
	return "", errStale
}

// refresh asks for every sale, and for the documents that are new here.
func (c *catalogue) refresh(ctx context.Context) ([]listing, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	rows, err := c.pool.Query(ctx, listSales)
	if err != nil {
		return nil, fmt.Errorf("list sales: %w", err)
	}
	var all []listing
	for rows.Next() {
		var one listing
		if err := rows.Scan(&one.id, &one.name, &one.phase, &one.buckets, &one.version, &one.revision); err != nil {
			break // rows.Err has it
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list sales: %w", err)
	}
	return all, c.learn(ctx, all)
}

// learn makes the catalogue know the revisions listed.
func (c *catalogue) learn(ctx context.Context, all []listing) error {
	var ids []int32
	var revisions []int64
	fresh := map[int32]*sale{}
	for _, one := range all {
		if known := c.of(one.id); known == nil || known.revision < one.revision {
			ids, revisions = append(ids, one.id), append(revisions, one.revision)
			fresh[one.id] = &sale{id: one.id, name: one.name, buckets: one.buckets, revision: one.revision}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := c.pool.Query(ctx, getDocuments, ids, revisions)
	if err != nil {
		return fmt.Errorf("read documents of sales: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int32
		var number int64
		var document string
		if err := rows.Scan(&id, &number, &document); err != nil {
			return fmt.Errorf("read documents of sales: %w", err)
		}
		parsed, err := shop.LoadSale([]byte(document))
		if err != nil {
			return fmt.Errorf("document of sale number %d: %w", id, err)
		}
		fresh[id].index = ledger.NewSaleIndex(&parsed)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read documents of sales: %w", err)
	}
	c.put(fresh)
	return nil
}

func (c *catalogue) put(fresh map[int32]*sale) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byName, c.byID = map[string]*sale{}, map[int32]*sale{}
	}
	for id, one := range fresh {
		if known := c.byID[id]; one.index != nil && (known == nil || known.revision < one.revision) {
			c.byName[one.name], c.byID[id] = one, one
		}
	}
}

// atLeast returns the sale in the form of that revision, or of a later one.
func (c *catalogue) atLeast(ctx context.Context, name string, revision int64) (*sale, error) {
	known, err := c.find(ctx, name)
	if err == nil && known.revision < revision {
		if _, err = c.refresh(ctx); err == nil {
			known = c.get(name)
		}
	}
	return known, err
}
