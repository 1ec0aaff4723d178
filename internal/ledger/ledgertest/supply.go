package ledgertest

import (
	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func supplyCases() []suiteCase {
	return []suiteCase{
		{"grants are numbered from 1, one sequence for all SKUs", grantsNumbered},
		{"grants that the stock may have missed are listed, of that epoch and bucket", grantsListed},
		{"a grant of more than POOL moves nothing", grantShort},
		{"another epoch's grant or reclaim moves nothing", wrongEpoch},
		{"a reclaim moves units back once", reclaimOnce},
		{"a reclaim of nothing uses its number", reclaimNothing},
		{"a reclaim of more than GRANT bumps, it is never clamped", reclaimTooMuch},
		{"another result under the same number bumps", reclaimOther},
		{"a gap in the reclaims bumps", reclaimGap},
		{"a bump returns every SKU and begins the numbers anew", bumpReturns},
		{"a bump of an epoch that is over changes nothing", bumpStale},
		{"buckets stand apart, and there are no others", bucketsApart},
		{"a sale that is not there stands nowhere", noSale},
	}
}

func grantsNumbered(b *bench) {
	stocked(b, 5, 0)
	for i, sku := range []string{small, large, small} {
		want := ledger.Grant{Number: int64(i) + 1, SKU: sku, Quantity: 1}
		if got := b.grant(sku, 1); got != want {
			b.Errorf("grant %+v, want %+v", got, want)
		}
	}
	if got := b.stand().Buckets[0]; got.LastGrant != 3 || got.Granted[small] != 2 || got.Granted[large] != 1 {
		b.Errorf("bucket %+v", got)
	}
}

func grantsListed(b *bench) {
	stocked(b, 99, 1) // 1, 2, 3 of epoch 1
	b.bump(1)
	var want []ledger.Grant
	for i := range 12 { // past 9, where texts sort otherwise than numbers
		want = append(want, b.grant([]string{small, large}[i%2], int64(i)+1))
	}
	for after := range int64(13) {
		got, err := b.Grants(b.ctx, b.bucket, b.epoch, after)
		if err != nil || len(got) != int(12-after) {
			b.Fatalf("%d grants after %d, %v", len(got), after, err)
		}
		if diff := cmp.Diff(want[after:], got[:len(got):len(got)]); diff != "" && len(got) > 0 {
			b.Errorf("after %d (-want +got)\n%s", after, diff)
		}
	}
	if got, err := b.Grants(b.ctx, b.bucket, 1, 0); err != nil || len(got) != 3 {
		b.Errorf("%d grants of the epoch before, %v; want 3", len(got), err)
	}
	if got, err := b.Grants(b.ctx, shop.Bucket{Sale: "suite", Number: 1}, b.epoch, 0); err != nil || len(got) != 0 {
		b.Errorf("%d grants of the other bucket, %v", len(got), err)
	}
}

func grantShort(b *bench) {
	stocked(b, 5, 3)
	for _, want := range []ledger.Grant{{SKU: small, Quantity: 3}, {SKU: small}, {SKU: small, Quantity: -1}, {SKU: "eu-99", Quantity: 1}} {
		_, err := b.Grant(b.ctx, b.bucket, b.epoch, want)
		b.wantErr(err, ledger.ErrShort)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 3})
	if got := b.stand().Buckets[0].LastGrant; got != 3 {
		b.Errorf("last grant %d, want 3", got)
	}
}

func wrongEpoch(b *bench) {
	stocked(b, 5, 3)
	for _, epoch := range []int64{b.epoch - 1, b.epoch + 1} {
		_, err := b.Grant(b.ctx, b.bucket, epoch, ledger.Grant{SKU: small, Quantity: 1})
		b.wantErr(err, ledger.ErrEpoch)
		b.wantErr(b.Reclaim(b.ctx, b.bucket, epoch, ledger.Reclaim{Number: 1, SKU: small, Units: 1}), ledger.ErrEpoch)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 3})
}

func (b *bench) reclaim(number int64, units int64) {
	b.Helper()
	if err := b.Reclaim(b.ctx, b.bucket, b.epoch, ledger.Reclaim{Number: number, SKU: small, Units: units}); err != nil {
		b.Fatalf("reclaim %d of %d: %v", number, units, err)
	}
}

func reclaimOnce(b *bench) {
	stocked(b, 5, 3)
	for range 2 {
		b.reclaim(1, 2)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 4, Granted: 1})
	if got := b.stand().Buckets[0]; got.LastReclaim != (ledger.Reclaim{Number: 1, SKU: small, Units: 2}) || got.Epoch != b.epoch {
		b.Errorf("bucket %+v", got)
	}
}

func reclaimNothing(b *bench) {
	stocked(b, 5, 3)
	b.reclaim(1, 0)
	b.reclaim(2, 1)
	b.want(small, ledger.Balance{Total: 5, Pool: 3, Granted: 2})
}

// bumped wants the reclaim to bump the bucket: every unit back in POOL.
func (b *bench) bumped(back ledger.Reclaim) {
	b.Helper()
	b.wantErr(b.Reclaim(b.ctx, b.bucket, b.epoch, back), ledger.ErrEpoch)
	if got := b.stand().Buckets[0]; got.Epoch != b.epoch+1 || got.LastReclaim != (ledger.Reclaim{}) || len(got.Granted) != 0 {
		b.Errorf("bucket %+v, want a new epoch", got)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 5})
	b.want(large, ledger.Balance{Total: 5, Pool: 5})
}

func reclaimTooMuch(b *bench) {
	stocked(b, 5, 3)
	b.bumped(ledger.Reclaim{Number: 1, SKU: small, Units: 4})
}

func reclaimOther(b *bench) {
	stocked(b, 5, 3)
	b.reclaim(1, 2)
	b.bumped(ledger.Reclaim{Number: 1, SKU: large, Units: 2})
}

func reclaimGap(b *bench) {
	stocked(b, 5, 3)
	b.reclaim(1, 2)
	b.bumped(ledger.Reclaim{Number: 3, SKU: small, Units: 1})
}

func bumpReturns(b *bench) {
	stocked(b, 5, 3)
	b.buy("ann", "k")
	b.reclaim(1, 1)
	b.bump(b.epoch)
	b.want(small, ledger.Balance{Total: 5, Pool: 4, Held: 1})
	b.want(large, ledger.Balance{Total: 5, Pool: 5})
	if got := b.grant(small, 1).Number; got != 1 {
		b.Errorf("the first grant of the epoch has number %d, want 1", got)
	}
	b.reclaim(1, 0)
}

func bumpStale(b *bench) {
	stocked(b, 5, 3)
	b.bump(b.epoch)
	b.grant(small, 2)
	for epoch := range b.epoch {
		if now, err := b.Bump(b.ctx, b.bucket, epoch); err != nil || now != b.epoch {
			b.Errorf("bump of epoch %d: now %d, %v; want %d", epoch, now, err, b.epoch)
		}
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 3, Granted: 2})
}

func bucketsApart(b *bench) {
	stocked(b, 5, 3)
	second := shop.Bucket{Sale: "suite", Number: 1}
	if now, err := b.Bump(b.ctx, second, 0); err != nil || now != 1 {
		b.Fatalf("second bucket: epoch %d, %v", now, err)
	}
	if grant, err := b.Grant(b.ctx, second, 1, ledger.Grant{SKU: small, Quantity: 2}); err != nil || grant.Number != 1 {
		b.Fatalf("second bucket: %+v, %v", grant, err)
	}
	b.want(small, ledger.Balance{Total: 5, Granted: 5})
	b.bump(b.epoch)
	b.want(small, ledger.Balance{Total: 5, Pool: 3, Granted: 2})
	if got := b.stand().Buckets; len(got) != 2 || got[1].Number != 1 || got[1].Epoch != 1 || got[1].Granted[small] != 2 {
		b.Errorf("buckets %+v", got)
	}
	_, err := b.Bump(b.ctx, shop.Bucket{Sale: "suite", Number: 2}, 0)
	b.wantErr(err, ledger.ErrNotFound)
}

func noSale(b *bench) {
	nowhere := shop.Bucket{Sale: "nowhere"}
	_, err := b.Stand(b.ctx, "nowhere")
	b.wantErr(err, ledger.ErrNotFound)
	_, err = b.Bump(b.ctx, nowhere, 0)
	b.wantErr(err, ledger.ErrNotFound)
	_, err = b.Grant(b.ctx, nowhere, 1, ledger.Grant{SKU: small, Quantity: 1})
	b.wantErr(err, ledger.ErrNotFound)
	_, err = b.Standing(b.ctx, "nowhere", "ann")
	b.wantErr(err, ledger.ErrNotFound)
	_, _, err = b.List(b.ctx, ledger.Query{Sale: "nowhere", Limit: 1})
	b.wantErr(err, ledger.ErrNotFound)
	_, err = b.Move(b.ctx, "nowhere", shop.VerbOpen)
	b.wantErr(err, ledger.ErrNotFound)
}
