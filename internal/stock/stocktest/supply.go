package stocktest

import (
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func supplyCases() []suiteCase {
	return []suiteCase{
		{"the shelf says what is there", shelfSays},
		{"a grant adds its units to its SKU", grantAdds},
		{"a grant repeated changes nothing", grantRepeated},
		{"a grant after a gap is forked", grantGap},
		{"grant numbers are one sequence for all SKUs", grantNumbersShared},
		{"a grant of another epoch or a forgotten bucket is not applied", grantElsewhere},
		{"a reclaim takes at most what is free", reclaimTakes},
		{"a reclaim repeated returns the stored result", reclaimRepeated},
		{"a result of 0 uses its number", reclaimZero},
		{"a reclaim with another previous result is forked", reclaimPrevious},
		{"a reclaim after a gap or before the last is forked", reclaimGap},
		{"a reclaim of another epoch or a forgotten bucket takes nothing", reclaimElsewhere},
		{"numbers and quantities below 1 are refused", badArguments},
	}
}

func shelfSays(b *bench) {
	_, err := b.Supply.Shelf(b.ctx, b.bucket)
	b.wantErr(err, stock.ErrUnknown)
	b.start(4)
	if diff := cmp.Diff(stock.Shelf{Epoch: 4}, b.look(), cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("an empty shelf (-want +got):\n%s", diff)
	}
	b.grant(1, small, 5)
	b.grant(2, large, 7)
	ask := b.wish("a", "ann")
	ask.Quantity, ask.Limit = 2, 2
	b.take(ask)
	back := b.reclaim(1, large, 3, stock.Reclaimed{})
	want := stock.Shelf{
		Epoch: 4, Free: map[string]int64{small: 3, large: 4}, Undecided: map[string]int64{small: 2},
		Tickets: 1, LastGrant: 2, LastReclaim: back,
	}
	none := cmpopts.IgnoreMapEntries(func(_ string, units int64) bool { return units == 0 })
	if diff := cmp.Diff(want, b.look(), none); diff != "" {
		b.Errorf("shelf (-want +got):\n%s", diff)
	}
}

func grantAdds(b *bench) {
	b.stocked(5, 7)
	b.grant(3, small, 10)
	b.wantFree(small, 15)
	b.wantFree(large, 7)
}

func grantRepeated(b *bench) {
	b.stocked(5, 5)
	b.unchanged(func() {
		for number := int64(1); number <= 2; number++ {
			b.wantErr(b.tryGrant(1, number, small, 5), nil)
			b.wantErr(b.tryGrant(1, number, large, 9), nil)
		}
	})
	b.grant(3, small, 1)
}

func grantGap(b *bench) {
	b.stocked(5, 5)
	b.unchanged(func() {
		b.wantErr(b.tryGrant(1, 4, small, 1), stock.ErrForked)
		b.wantErr(b.tryGrant(1, 1<<62, large, 1), stock.ErrForked)
	})
	b.grant(3, small, 1)
	b.grant(4, small, 1)
}

// grantNumbersShared fails where numbers are kept per SKU: then the first
// grant of a second SKU would be number 1 again.
func grantNumbersShared(b *bench) {
	b.start(1)
	b.grant(1, small, 5)
	b.wantErr(b.tryGrant(1, 1, large, 5), nil) // applied already, as a grant of small
	b.count()
	b.wantErr(b.tryGrant(1, 3, large, 5), stock.ErrForked)
	b.grant(2, large, 5)
	b.wantErr(b.tryGrant(1, 2, small, 5), nil)
	b.count()
	b.grant(3, small, 5)
	if got := b.look().LastGrant; got != 3 {
		b.Errorf("last grant is %d, want 3", got)
	}
}

func grantElsewhere(b *bench) {
	b.wantErr(b.tryGrant(1, 1, small, 5), stock.ErrUnknown)
	b.start(2)
	b.grant(1, small, 5)
	b.unchanged(func() {
		for _, epoch := range []int64{1, 3} {
			for number := int64(1); number <= 3; number++ {
				b.wantErr(b.tryGrant(epoch, number, small, 5), stock.ErrForked)
			}
		}
	})
	b.forget()
	b.wantErr(b.tryGrant(2, 2, small, 5), stock.ErrUnknown)
}

func reclaimTakes(b *bench) {
	b.stocked(5, 5)
	b.take(b.wish("a", "ann"))
	first := b.reclaim(1, small, 3, stock.Reclaimed{})
	b.wantResult(first, stock.Reclaimed{Number: 1, SKU: small, Units: 3})
	second := b.reclaim(2, small, 100, first) // one is free, one is undecided
	b.wantResult(second, stock.Reclaimed{Number: 2, SKU: small, Units: 1})
	third := b.reclaim(3, large, 5, second)
	b.wantResult(third, stock.Reclaimed{Number: 3, SKU: large, Units: 5})
	b.want(b.ask(b.wish("b", "bob")), stock.Out)
}

func (b *bench) wantResult(got, want stock.Reclaimed) {
	b.Helper()
	if got != want {
		b.Fatalf("reclaimed %+v, want %+v", got, want)
	}
}

func reclaimRepeated(b *bench) {
	b.stocked(5, 5)
	first := b.reclaim(1, small, 2, stock.Reclaimed{})
	repeats := []stock.Reclaim{
		{Number: 1, SKU: small, Quantity: 2},
		{Number: 1, SKU: large, Quantity: 5},
		{Number: 1, SKU: small, Quantity: 2, Previous: stock.Reclaimed{Number: 7, SKU: large, Units: 1}},
	}
	for _, repeat := range repeats {
		b.unchanged(func() {
			got, err := b.tryReclaim(1, repeat)
			b.wantErr(err, nil)
			b.wantResult(got, first)
		})
	}
	b.grant(3, small, 5) // grants have numbers of their own, and the result stands
	got, err := b.tryReclaim(1, repeats[0])
	b.wantErr(err, nil)
	b.wantResult(got, first)
	b.count()
}

func reclaimZero(b *bench) {
	b.stocked(1, 5)
	ticket := b.take(b.wish("a", "ann"))
	nothing := b.reclaim(1, small, 5, stock.Reclaimed{})
	b.wantResult(nothing, stock.Reclaimed{Number: 1, SKU: small})
	b.settle(ticket, shop.Returned, 0)
	b.unchanged(func() { // one is free now, but number 1 is used
		got, err := b.tryReclaim(1, stock.Reclaim{Number: 1, SKU: small, Quantity: 5})
		b.wantErr(err, nil)
		b.wantResult(got, nothing)
	})
	never := b.reclaim(2, "never granted", 5, nothing)
	b.wantResult(never, stock.Reclaimed{Number: 2, SKU: "never granted"})
	b.wantResult(b.reclaim(3, small, 5, never), stock.Reclaimed{Number: 3, SKU: small, Units: 1})
}

func reclaimPrevious(b *bench) {
	b.stocked(5, 5)
	wrong := []stock.Reclaimed{{Number: 1, SKU: small, Units: 1}, {SKU: small}, {Units: 1}}
	b.unchanged(func() { b.wantForked(1, wrong...) })
	first := b.reclaim(1, small, 2, stock.Reclaimed{})
	wrong = []stock.Reclaimed{
		{},
		{Number: 1, SKU: small, Units: 3},
		{Number: 1, SKU: large, Units: 2},
		{Number: 0, SKU: small, Units: 2},
		{Number: 2, SKU: small, Units: 2},
	}
	b.unchanged(func() { b.wantForked(2, wrong...) })
	b.reclaim(2, small, 2, first)
}

func (b *bench) wantForked(number int64, previous ...stock.Reclaimed) {
	b.Helper()
	for _, p := range previous {
		_, err := b.tryReclaim(b.epoch, stock.Reclaim{Number: number, SKU: small, Quantity: 1, Previous: p})
		if err == nil {
			b.Logf("reclaim %d after %+v", number, p)
		}
		b.wantErr(err, stock.ErrForked)
	}
}

func reclaimGap(b *bench) {
	b.stocked(5, 5)
	b.unchanged(func() { b.wantForked(2, stock.Reclaimed{}, stock.Reclaimed{Number: 1, SKU: small}) })
	first := b.reclaim(1, small, 1, stock.Reclaimed{})
	second := b.reclaim(2, small, 1, first)
	b.unchanged(func() {
		b.wantForked(1, stock.Reclaimed{}, first, second)
		b.wantForked(4, second, stock.Reclaimed{Number: 3, SKU: small})
	})
	b.reclaim(3, small, 1, second)
}

func reclaimElsewhere(b *bench) {
	ask := stock.Reclaim{Number: 1, SKU: small, Quantity: 1}
	_, err := b.tryReclaim(1, ask)
	b.wantErr(err, stock.ErrUnknown)
	b.start(2)
	b.grant(1, small, 5)
	b.reclaim(1, small, 1, stock.Reclaimed{})
	b.unchanged(func() {
		for _, epoch := range []int64{1, 3} { // not even the stored result
			_, err := b.tryReclaim(epoch, ask)
			b.wantErr(err, stock.ErrForked)
		}
	})
	b.forget()
	_, err = b.tryReclaim(2, ask)
	b.wantErr(err, stock.ErrUnknown)
}

func badArguments(b *bench) {
	b.stocked(5, 5)
	b.unchanged(func() {
		for _, bad := range []int64{0, -1, -1 << 63} {
			b.wantBadArgument(b.tryGrant(1, bad, small, 5))
			b.wantBadArgument(b.tryGrant(1, 3, small, bad))
			_, err := b.tryReclaim(1, stock.Reclaim{Number: bad, SKU: small, Quantity: 5})
			b.wantBadArgument(err)
			_, err = b.tryReclaim(1, stock.Reclaim{Number: 1, SKU: small, Quantity: bad})
			b.wantBadArgument(err)
		}
	})
}
