package cashier_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

// onDisk is the embedded ledger, which can be made to fail, judged by the
// auditor.
type onDisk struct {
	*sqlite.Ledger
	bought atomic.Uint64
	fault  atomic.Pointer[error]
}

func (l *onDisk) Fail(err error) { l.fault.Store(&err) }

func (l *onDisk) failing() error {
	if err := l.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *onDisk) Buy(sale, sku, buyer string) (shop.Order, error) {
	if err := l.failing(); err != nil {
		return shop.Order{}, err
	}
	var claim shop.ClaimID
	binary.BigEndian.PutUint64(claim[:], l.bought.Add(1))
	decisions, err := l.Decide(context.Background(), []shop.Ticket{{
		Claim: claim, Bucket: shop.Bucket{Sale: sale}, Buyer: buyer, SKU: sku, Quantity: 1, At: time.Now(),
	}})
	if err != nil {
		return shop.Order{}, err
	}
	return decisions[0].Order, nil
}

func (l *onDisk) Pay(ctx context.Context, payment ledger.Payment) (shop.Order, error) {
	if err := l.failing(); err != nil {
		return shop.Order{}, err
	}
	return l.Ledger.Pay(ctx, payment)
}

func (l *onDisk) Expire(ctx context.Context, ids []shop.ClaimID) ([]shop.Order, error) {
	if err := l.failing(); err != nil {
		return nil, err
	}
	return l.Ledger.Expire(ctx, ids)
}

func (l *onDisk) List(ctx context.Context, _ ledger.Query) ([]shop.Order, string, error) {
	return l.Ledger.List(ctx, ledger.Query{Sale: "retro-85", Limit: 1000})
}

func (l *onDisk) Broken(taken []string) []string {
	ctx := context.Background()
	results, err := audit.Offline(ctx, l.Ledger)
	if err != nil {
		return []string{err.Error()}
	}
	var faults []string
	for _, result := range results {
		if result.State == audit.Broken {
			faults = append(faults, result.ID+": "+result.Detail)
		}
	}
	known := map[string]int{}
	err = l.Read(ctx, func(view ledger.View) error {
		for claim, err := range view.Claims(ctx) {
			if err != nil {
				return err
			}
			for _, charge := range claim.Charges {
				known[charge.Reference]++
			}
		}
		return nil
	})
	if err != nil {
		return []string{err.Error()}
	}
	for _, reference := range taken {
		if known[reference] != 1 {
			faults = append(faults, fmt.Sprintf("charge %s stands %d times in the ledger, want once", reference, known[reference]))
		}
	}
	return faults
}

// livesOnDisk is few: each asks the disk a few hundred times.
const livesOnDisk = 2

func TestLivesOnDiskAddUp(t *testing.T) {
	for seed := range livesOnDisk {
		t.Run(fmt.Sprintf("life %d", seed), func(t *testing.T) {
			steps := lives().Example(seed)
			synctest.Test(t, func(t *testing.T) {
				kept, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := kept.Close(); err != nil {
						t.Error(err)
					}
				}()
				published := sale()
				published.OpensAt = time.Now()
				if _, err := kept.Publish(t.Context(), published); err != nil {
					t.Fatal(err)
				}
				w := townOver(t, &onDisk{Ledger: kept}, kept.Clock())
				defer w.stop()
				if fault := w.live(t, steps, uint64(seed)); fault != "" {
					t.Fatal(fault)
				}
				if fault := w.settle(t, map[shop.Status]int{}); fault != "" {
					t.Fatal(fault)
				}
			})
		})
	}
}
