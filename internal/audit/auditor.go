package audit

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/pause"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

const (
	// auditEvery is the pause between audits; restFactor keeps them under a
	// twentieth of a core however large the ledger grows.
	auditEvery = time.Minute
	restFactor = 20
	// undecidedMax is how long a ticket may wait while the ledger is up.
	undecidedMax = 30 * time.Second
	// A unit that has just come back does not mean that anybody is barred: the
	// board has this many looks, two seconds in all, to show it.
	barredLooks = 9
	barredEvery = 250 * time.Millisecond
)

// Auditor evaluates the invariants while the node runs. Its fields are set
// once.
type Auditor struct {
	Books   ledger.Books
	Supply  ledger.Supply
	Stock   stock.Supply
	Tickets stock.Counter
	Board   *gate.Board
	Now     func() time.Time
	Halt    func(sale, reason string) // keeps a sale from selling
	Leads   func() bool               // reports whether this node is the one that audits; nil: it is
	Log     *slog.Logger

	broken atomic.Int64 // invariants broken at the last audit

	replays, looks outage.Watch // at the ledger, and at the stock beside it
}

// Run audits until ctx ends, at once and then every minute.
func (a *Auditor) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := a.Now()
		if a.Leads == nil || a.Leads() {
			a.audit(ctx)
		}
		timer.Reset(max(auditEvery, restFactor*a.Now().Sub(began)))
	}
}

// Broken returns how many invariants were broken when last looked at.
func (a *Auditor) Broken() int64 { return a.broken.Load() }

// audit replays the whole ledger and halts the sales whose books are wrong.
func (a *Auditor) audit(ctx context.Context) {
	findings, err := replay(ctx, a.Books, "")
	if ctx.Err() != nil {
		return
	}
	switch began, ended := a.replays.Note(err); {
	case began:
		a.Log.Error("the ledger cannot be audited", "error", err)
	case ended:
		a.Log.Info("the ledger can be audited again")
	}
	if err != nil {
		return
	}
	findings = append(findings, a.beside(ctx)...)
	broken := map[string]bool{}
	for _, f := range findings {
		broken[f.invariant] = true
		if f.sale != "" && haltsSale(f.invariant) {
			a.Halt(f.sale, "the books do not balance: "+f.detail)
		}
	}
	for _, result := range conclude(findings) { // a line each, however many places there are
		if result.State == Broken {
			a.Log.Error("an invariant is broken", "invariant", result.ID, "detail", result.Detail)
		}
	}
	a.broken.Store(int64(len(broken)))
}

// beside looks at the stock of every sale.
func (a *Auditor) beside(ctx context.Context) (findings []finding) {
	var first error
	var failed []string
	for _, notice := range a.Board.Notices() {
		found, err := a.online(ctx, notice)
		if err != nil {
			if failed = append(failed, notice.Sale.ID); first == nil {
				first = err
			}
			continue
		}
		findings = append(findings, found...)
	}
	if ctx.Err() != nil {
		return findings
	}
	switch began, ended := a.looks.Note(first); {
	case began:
		a.Log.Warn("the stock cannot be audited", "sales", len(failed), "first", failed[0], "error", first)
	case ended:
		a.Log.Info("the stock can be audited again")
	}
	return findings
}

// haltsSale reports whether a broken invariant stops the sale. Where units or
// money do not add up, nothing may be sold; where something merely takes too
// long, selling on does no harm.
func haltsSale(invariant string) bool {
	switch invariant {
	case "I1", "I2", "I3", "I4", "I8":
		return true
	}
	return false
}

// Sale evaluates every invariant of one sale.
func (a *Auditor) Sale(ctx context.Context, sale string) ([]Result, error) {
	notice, ok := a.Board.Notice(sale)
	if !ok {
		return nil, ledger.ErrNotFound
	}
	findings, err := replay(ctx, a.Books, sale)
	if err != nil {
		return nil, err
	}
	found, err := a.online(ctx, notice)
	if err != nil {
		return nil, err
	}
	return conclude(append(findings, found...)), nil
}

// online looks at what the ledger alone cannot tell.
func (a *Auditor) online(ctx context.Context, notice *gate.Notice) ([]finding, error) {
	sale := notice.Sale.ID
	var findings []finding
	report := func(invariant, format string, args ...any) {
		findings = append(findings, finding{invariant, sale, fmt.Sprintf(format, args...)})
	}
	shelves, overdue, err := a.shelves(ctx, sale, report)
	if err != nil {
		return nil, err
	}
	stand, err := a.Supply.Stand(ctx, sale) // after the shelves: what was sold in between makes GRANT smaller
	if err != nil {
		return nil, fmt.Errorf("read how %s stands: %w", sale, err)
	}
	for i := range stand.Buckets {
		row := &stand.Buckets[i]
		shelf, ok := shelves[row.Number]
		if !ok || shelf.Epoch != row.Epoch || shelf.LastGrant != row.LastGrant || ledger.Reclaim(shelf.LastReclaim) != row.LastReclaim {
			continue // a grant or a reclaim is on its way
		}
		for sku, granted := range row.Granted {
			if has := shelf.Free[sku] + shelf.Undecided[sku]; has < granted {
				report("I5", "bucket %d of %s has %d of %d granted units of %s", row.Number, sale, has, granted, sku)
			}
		}
	}
	if notice.Phase == shop.Closed && overdue {
		report("I7", "%s is closed and has undecided tickets", sale)
	}
	barred, err := a.barred(ctx, sale)
	for sku, units := range barred {
		report("I9", "%d units of %s/%s are free and the board turns everybody away", units, sale, sku)
	}
	return findings, err
}

// shelves reads the stock's buckets, and reports tickets that wait too long.
func (a *Auditor) shelves(ctx context.Context, sale string, report func(string, string, ...any)) (map[int]stock.Shelf, bool, error) {
	stand, err := a.Supply.Stand(ctx, sale)
	if err != nil {
		return nil, false, fmt.Errorf("read how %s stands: %w", sale, err)
	}
	shelves, overdue := map[int]stock.Shelf{}, false
	for i := range stand.Buckets {
		bucket := shop.Bucket{Sale: sale, Number: stand.Buckets[i].Number}
		shelf, err := a.Stock.Shelf(ctx, bucket)
		if err != nil {
			continue // the supplier begins it anew; until then there is nothing to compare
		}
		shelves[bucket.Number] = shelf
		oldest, err := a.Tickets.Undecided(ctx, bucket, 1)
		if err != nil {
			return nil, false, fmt.Errorf("read undecided tickets of %s: %w", bucket, err)
		}
		waits := len(oldest) > 0 && a.Now().Sub(oldest[0].At) > undecidedMax
		overdue = overdue || waits
		if waits && a.Board.Suspended() == nil { // else the ledger is down, and everybody knows
			report("I6", "ticket %s of %s waits since %s", oldest[0].Claim, sale, oldest[0].At.UTC().Format(time.RFC3339))
		}
	}
	return shelves, overdue, nil
}

// barred returns units that stay free while the board turns everybody away.
func (a *Auditor) barred(ctx context.Context, sale string) (map[string]int64, error) {
	suspects, err := a.turnedAway(ctx, sale)
	for look := 1; look < barredLooks && len(suspects) > 0 && err == nil; look++ {
		if !pause.For(ctx, barredEvery) {
			return nil, ctx.Err()
		}
		var still map[string]int64
		still, err = a.turnedAway(ctx, sale)
		for sku := range suspects {
			if still[sku] == 0 {
				delete(suspects, sku)
			}
		}
	}
	return suspects, err
}

// turnedAway returns the free units of every item that the board refuses.
func (a *Auditor) turnedAway(ctx context.Context, sale string) (map[string]int64, error) {
	stand, err := a.Supply.Stand(ctx, sale)
	if err != nil {
		return nil, fmt.Errorf("read how %s stands: %w", sale, err)
	}
	free := map[string]int64{}
	for sku, balance := range stand.Items {
		free[sku] = balance.Pool
	}
	for i := range stand.Buckets {
		shelf, err := a.Stock.Shelf(ctx, shop.Bucket{Sale: sale, Number: stand.Buckets[i].Number})
		if err != nil {
			continue // the supplier begins it anew
		}
		for sku, units := range shelf.Free {
			free[sku] += units
		}
	}
	notice, ok := a.Board.Notice(sale) // last: it has seen what was free before
	if !ok || notice.Phase != shop.Open || notice.Halted != "" {
		return nil, nil
	}
	turned := map[string]int64{}
	for i := range notice.Items {
		if item := &notice.Items[i]; free[item.SKU] > 0 && (item.No != nil || notice.No != nil) {
			turned[item.SKU] = free[item.SKU]
		}
	}
	return turned, nil
}
