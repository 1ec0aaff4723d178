package ledgertest

import (
	"errors"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func saleCases() []suiteCase {
	return []suiteCase{
		{"a document published before changes nothing, whatever happened since", publishedBefore},
		{"a changed document seeds and withdraws the difference", restocks},
		{"stock is not lowered below what is given out", stockGivenOut},
		{"stock that lies in grants is not withdrawn before it is reclaimed", stockGranted},
		{"a removed item's units are withdrawn, and it may return", itemRemoved},
		{"an open sale keeps its prices, its opening and its items", openKeepsPromises},
		{"every document is kept as a revision", revisionsKept},
		{"times open and close a sale, and never lead back", timesFlip},
		{"an operator's verbs lead where they should, and repeat", verbs},
		{"a sale held back stays as it is", heldBack},
		{"sales are listed by id", salesListed},
	}
}

func publishedBefore(b *bench) {
	first := document("suite", 5)
	b.publish(first, ledger.Created)
	b.publish(first, ledger.Same)
	more := document("suite", 8)
	b.publish(more, ledger.Changed)
	b.move(shop.VerbClose, shop.Closed)
	b.publish(first, ledger.Same)
	b.reopen()
	b.publish(first, ledger.Same)
	b.publish(more, ledger.Same)
	b.want(small, ledger.Balance{Total: 8, Pool: 8})
}

func restocks(b *bench) {
	stocked(b, 5, 1)
	more := document("suite", 8)
	b.publish(more, ledger.Changed)
	b.want(small, ledger.Balance{Total: 8, Pool: 7, Granted: 1})
	fewer := document("suite", 2)
	b.publish(fewer, ledger.Changed)
	b.want(small, ledger.Balance{Total: 8, Pool: 1, Granted: 1, Withdrawn: 6})
	again := document("suite", 3)
	b.publish(again, ledger.Changed)
	b.want(small, ledger.Balance{Total: 9, Pool: 2, Granted: 1, Withdrawn: 6})
}

// broken wants the publication refused for so many reasons.
func (b *bench) broken(sale shop.Sale, reasons int) {
	b.Helper()
	_, err := b.Publish(b.ctx, sale)
	if no, ok := errors.AsType[*ledger.Broken](err); !ok || len(no.Reasons) != reasons {
		b.Errorf("error %v, want %d broken promises", err, reasons)
	}
}

func stockGivenOut(b *bench) {
	stocked(b, 5, 3)
	b.buy("ann", "k")
	b.pay(b.buy("bob", "k").ID, "r", shop.Paid)
	lower := document("suite", 5)
	lower.Items[0].Stock = 1
	b.broken(lower, 1)
	lower.Items[0].Stock = 4
	b.publish(lower, ledger.Changed)
	b.want(small, ledger.Balance{Total: 5, Pool: 1, Granted: 1, Held: 1, Sold: 1, Withdrawn: 1})
}

func stockGranted(b *bench) {
	stocked(b, 5, 5)
	lower := document("suite", 2)
	_, err := b.Publish(b.ctx, lower)
	b.wantErr(err, ledger.ErrShort)
	b.want(small, ledger.Balance{Total: 5, Granted: 5})
	b.bump(b.epoch)
	b.publish(lower, ledger.Changed)
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Withdrawn: 3})
}

func itemRemoved(b *bench) {
	b.publish(document("suite", 5), ledger.Created)
	without := document("suite", 5)
	without.Items = slices.Delete(without.Items, 0, 1)
	b.publish(without, ledger.Changed)
	b.want(small, ledger.Balance{Total: 5, Withdrawn: 5})
	with := document("suite", 7)
	b.publish(with, ledger.Changed)
	b.want(small, ledger.Balance{Total: 12, Pool: 7, Withdrawn: 5})
}

func openKeepsPromises(b *bench) {
	b.publish(document("suite", 5), ledger.Created)
	dearer := document("suite", 5)
	dearer.Items[0].Price.Amount++
	b.publish(dearer, ledger.Changed) // nobody was promised a price yet
	b.move(shop.VerbOpen, shop.Open)
	other := document("suite", 5)
	other.OpensAt = other.OpensAt.Add(time.Second)
	other.Items[0].Price.Amount += 2
	other.Items = slices.Delete(other.Items, 1, 2)
	b.broken(other, 3)
	b.want(large, ledger.Balance{Total: 5, Pool: 5})
}

func revisionsKept(b *bench) {
	documents := []shop.Sale{document("suite", 5), document("other", 1), document("suite", 6)}
	for _, sale := range documents {
		if _, err := b.Publish(b.ctx, sale); err != nil {
			b.Fatal(err)
		}
	}
	var got []shop.Sale
	var numbers []int64
	err := b.Read(b.ctx, func(v ledger.View) error {
		for revision, err := range v.Revisions(b.ctx) {
			if err != nil {
				return err
			}
			got, numbers = append(got, revision.Sale), append(numbers, revision.Number)
			if !revision.At.Equal(noon()) {
				b.Errorf("published at %v, want %v", revision.At, noon())
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if diff := cmp.Diff(documents, got) + cmp.Diff([]int64{1, 1, 2}, numbers); diff != "" {
		b.Errorf("(-want +got)\n%s", diff)
	}
}

func (b *bench) move(verb shop.Verb, want shop.Phase) {
	b.Helper()
	if got, err := b.Move(b.ctx, b.bucket.Sale, verb); err != nil || got != want {
		b.Errorf("%s leads to %v, %v; want %v", verb, got, err, want)
	}
	b.phase(want)
}

func (b *bench) phase(want shop.Phase) {
	b.Helper()
	listings, err := b.Sales.Sales(b.ctx)
	if err != nil || len(listings) == 0 || listings[0].Phase != want {
		b.Errorf("sales %+v, %v; want %v", listings, err, want)
	}
}

// flip wants so many sales to move.
func (b *bench) flip(want int) {
	b.Helper()
	if moved, err := b.Flip(b.ctx, nil); err != nil || len(moved) != want {
		b.Errorf("moved %q, %v; want %d", moved, err, want)
	}
}

func timesFlip(b *bench) {
	sale := document("suite", 5)
	sale.OpensAt, sale.ClosesAt = noon().Add(time.Minute), noon().Add(time.Hour)
	b.publish(sale, ledger.Created)
	b.flip(0)
	b.phase(shop.Scheduled)
	b.time.Pass(time.Minute)
	b.flip(1)
	b.flip(0)
	b.time.Jump(-time.Hour)
	b.flip(0)
	b.phase(shop.Open)
	b.time.Jump(9 * time.Hour) // somebody set the clock: it is not eight hours later
	b.flip(0)
	b.time.Jump(-8 * time.Hour)
	b.move(shop.VerbPause, shop.Paused)
	b.time.Pass(time.Hour)
	b.flip(1)
	b.phase(shop.Closed)
	b.time.Jump(-time.Hour)
	b.reopen()
	b.flip(0)
	b.phase(shop.Closed)
}

func verbs(b *bench) {
	b.publish(document("suite", 5), ledger.Created)
	for _, verb := range []shop.Verb{shop.VerbPause, shop.VerbResume} {
		_, err := b.Move(b.ctx, "suite", verb)
		if _, ok := errors.AsType[*ledger.Broken](err); !ok {
			b.Errorf("%s of a scheduled sale: %v", verb, err)
		}
	}
	for range 2 {
		b.move(shop.VerbOpen, shop.Open)
	}
	for range 2 {
		b.move(shop.VerbPause, shop.Paused)
	}
	b.reopen()
	for range 2 {
		b.move(shop.VerbResume, shop.Open)
	}
	for range 2 {
		b.move(shop.VerbClose, shop.Closed)
	}
	_, err := b.Move(b.ctx, "suite", shop.VerbOpen)
	if _, ok := errors.AsType[*ledger.Broken](err); !ok {
		b.Errorf("open of a closed sale: %v", err)
	}
}

func heldBack(b *bench) {
	b.publish(document("suite", 5), ledger.Created)
	b.publish(document("other", 5), ledger.Created)
	moved, err := b.Flip(b.ctx, []string{"suite"})
	if err != nil || !slices.Equal(moved, []string{"other"}) {
		b.Errorf("moved %q, %v; want only the other", moved, err)
	}
	b.flip(1)
}

func salesListed(b *bench) {
	for _, id := range []string{"zebra", "ant", "mole"} {
		b.publish(document(id, 1), ledger.Created)
	}
	b.bucket.Sale = "mole"
	moved, err := b.Move(b.ctx, "mole", shop.VerbOpen)
	if err != nil || moved != shop.Open {
		b.Fatalf("%v, %v", moved, err)
	}
	want := []ledger.Listing{
		{Sale: document("ant", 1), Buckets: 2},
		{Sale: document("mole", 1), Buckets: 2, Phase: shop.Open},
		{Sale: document("zebra", 1), Buckets: 2},
	}
	for range 2 {
		got, err := b.Sales.Sales(b.ctx)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ledger.Listing{}, "Version")); err != nil || diff != "" {
			b.Errorf("error %v (-want +got)\n%s", err, diff)
		}
		b.reopen()
	}
}
