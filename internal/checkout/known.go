package checkout

import (
	"context"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Known is the set of claims that have a ticket or an answer. Only tickets
// enter it, so stock bounds it. It may hold a claim that was lost with its
// stock: then the ledger is asked once in vain.
type Known struct {
	keys, claims gate.KeySet
}

// Load adds every claim that the ledger has decided.
func (k *Known) Load(ctx context.Context, claims ledger.Claims) error {
	for print, err := range claims.Decided(ctx, "", 0) {
		if err != nil {
			return fmt.Errorf("read the decided claims: %w", err)
		}
		k.Add(print)
	}
	return nil
}

// Add makes a claim known.
func (k *Known) Add(print ledger.Print) {
	k.keys.Add(print.KeyPrint)
	k.claims.Add(print.Claim.Short())
}

// Key reports whether a key with that print may be known.
func (k *Known) Key(print uint64) bool { return k.keys.Has(print) }

// Claim reports whether the claim may be known.
func (k *Known) Claim(claim shop.ClaimID) bool { return k.claims.Has(claim.Short()) }
