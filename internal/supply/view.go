package supply

import (
	"context"
	"errors"
	"sync"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// view is what one pass sees of one bucket.
type view struct {
	number int
	shelf  stock.Shelf
	err    error // it cannot be tended in this pass
}

// look reads every bucket's shelf, all at once: one that does not answer costs
// the pass its time-out once, and the others nothing.
func (s *Supplier) look(ctx context.Context, sale string, buckets int) []view {
	views := make([]view, buckets)
	var all sync.WaitGroup
	for i := range views {
		v := &views[i]
		v.number = i
		read := func() { v.shelf, v.err = s.Stock.Shelf(ctx, shop.Bucket{Sale: sale, Number: i}) }
		if i == buckets-1 { // one is read here; with a single bucket nobody else is needed
			read()
			continue
		}
		all.Go(read)
	}
	all.Wait()
	return views
}

// unreachable logs which buckets the pass leaves out, when that changes. An
// error says that it is all of them.
func (s *Supplier) unreachable(sale string, views []view) error {
	if s.missing == nil {
		s.missing = map[shop.Bucket]bool{}
	}
	var faults []error
	for i := range views {
		bucket := shop.Bucket{Sale: sale, Number: views[i].number}
		if views[i].err == nil {
			if s.missing[bucket] {
				delete(s.missing, bucket)
				s.Log.Info("the bucket can be reached again", "bucket", bucket.String())
			}
			continue
		}
		faults = append(faults, views[i].err)
		if !s.missing[bucket] && len(views) > 1 {
			s.missing[bucket] = true
			s.Log.Warn("a bucket cannot be reached; the others go on", "bucket", bucket.String(), "error", views[i].err)
		}
	}
	if len(faults) < len(views) {
		return nil
	}
	return errors.Join(faults...)
}
