package postgres

import (
	"context"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
)

const (
	// getGrants reads the numbers behind the last slash of a grant's ref. Lines
	// of a kind (2: grant) without a claim lie side by side in the index.
	getGrants = `SELECT number, sku, quantity FROM (
			SELECT substr(ref, length($2) + 1)::bigint AS number, sku, quantity FROM lines
			WHERE sale = $1 AND kind = 2 AND claim = 0 AND ref > $2 AND ref < $2 || ':') AS g
		WHERE number > $3 ORDER BY number`
	getStand = "SELECT revision, head, newest FROM sales WHERE id = $1"
)

// Stand implements ledger.Supply: one round trip, as of one moment.
func (l *Ledger) Stand(ctx context.Context, name string) (ledger.Stand, error) {
	known, err := l.names.find(ctx, name)
	if err != nil {
		return ledger.Stand{}, err
	}
	var s stand
	err = l.read(ctx, l.pools.readers, func(ctx context.Context, conn *pgx.Conn) error {
		s = stand{Stand: ledger.Stand{Items: map[string]ledger.Balance{}}}
		return s.load(ctx, conn, known)
	})
	if err == nil {
		known, err = l.names.atLeast(ctx, name, s.revision)
	}
	if err != nil {
		return ledger.Stand{}, fmt.Errorf("read stand of %s: %w", name, err)
	}
	for sku := range known.index.Items {
		if _, ok := s.Items[sku]; !ok {
			s.Items[sku] = ledger.Balance{}
		}
	}
	return s.Stand, nil
}

// stand is a stand while it is read.
type stand struct {
	ledger.Stand
	revision int64
}

func (s *stand) load(ctx context.Context, conn *pgx.Conn, known *sale) error {
	name := known.named
	s.Buckets = make([]ledger.BucketStand, known.buckets)
	for number := range s.Buckets {
		s.Buckets[number] = ledger.BucketStand{Number: number, Granted: map[string]int64{}}
	}
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	batch.Queue(getStand, known.id).QueryRow(func(row pgx.Row) error {
		return row.Scan(&s.revision, &s.AsOf, &s.Newest)
	})
	batch.Queue(getBuckets, []int32{known.id}).Query(each(func(rows pgx.Rows) error {
		row, err := scanBucket(rows, name)
		if err != nil {
			return err
		}
		b := &s.Buckets[row.Bucket.Number]
		b.Epoch, b.LastGrant, b.LastReclaim = row.Epoch, row.LastGrant, row.LastReclaim
		return nil
	}))
	batch.Queue(getSaleAccounts, known.id).Query(each(func(rows pgx.Rows) error {
		account, units, err := scanAccount(rows, name)
		if err == nil {
			s.add(account, units)
		}
		return err
	}))
	batch.Queue("COMMIT")
	return conn.SendBatch(ctx, &batch).Close()
}

func (s *stand) add(account ledger.Account, units int64) {
	item := s.Items[account.SKU]
	item.Total += units
	switch account.Name {
	case ledger.Pool:
		item.Pool += units
	case ledger.Granted:
		item.Granted += units
		if units > 0 {
			s.Buckets[account.Bucket].Granted[account.SKU] = units
		}
	case ledger.Held:
		item.Held += units
	case ledger.Sold:
		item.Sold += units
	case ledger.Withdrawn:
		item.Withdrawn += units
	case ledger.Outside: // has no balance
	}
	s.Items[account.SKU] = item
}

// Grants implements ledger.Supply.
func (l *Ledger) Grants(ctx context.Context, bucket shop.Bucket, epoch, after int64) ([]ledger.Grant, error) {
	known, err := l.names.find(ctx, bucket.Sale)
	if err != nil {
		return nil, err
	}
	var grants []ledger.Grant
	err = l.read(ctx, l.pools.readers, func(ctx context.Context, conn *pgx.Conn) error {
		grants = nil
		return ask(ctx, conn, func(rows pgx.Rows) error {
			var grant ledger.Grant
			err := rows.Scan(&grant.Number, &grant.SKU, &grant.Quantity)
			grants = append(grants, grant)
			return err
		}, getGrants, known.id, fmt.Sprintf("%s/%d/", bucket, epoch), after)
	})
	if err != nil {
		return nil, fmt.Errorf("read grants of %s: %w", bucket, err)
	}
	return grants, nil
}

// spread is the ledger.Spread of this machine.
func (l *Ledger) spread(ctx context.Context, bucket shop.Bucket, sku string, rule func(*ledger.Book) error) error {
	return l.transact(ctx, l.pools.worker, func(ctx context.Context, t *tx) error {
		known, err := l.names.find(ctx, bucket.Sale)
		if err != nil {
			return err
		}
		if bucket.Number < 0 || bucket.Number >= known.buckets {
			return fmt.Errorf("bucket %s: %w", bucket, ledger.ErrNotFound)
		}
		q := t.newLoad()
		q.lock(lockSales, []int32{known.id})
		q.accounts(getAccounts, []int32{known.id}, []string{sku})
		q.buckets([]int32{known.id})
		if err := q.run(ctx); err != nil {
			return err
		}
		if err := rule(t.Book); err != nil {
			return err
		}
		return t.save(ctx, nil)
	})
}
