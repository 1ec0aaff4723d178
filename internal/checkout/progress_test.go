package checkout

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func decidedRows(sale string, numbers ...int64) []ledger.Decision {
	var all []ledger.Decision
	for _, row := range numbers {
		all = append(all, ledger.Decision{Order: shop.Order{Sale: sale}, Row: row})
	}
	return all
}

func TestProgressIsAsFarAsNothingIsMissing(t *testing.T) {
	var p progress
	for _, step := range []struct {
		heard []ledger.Decision
		want  int64
	}{
		{decidedRows("s", 3, 4), 0},
		{decidedRows("s", 0), 0}, // of a node that does not tell
		{decidedRows("s", 1), 1},
		{decidedRows("s", 9, 7), 1},
		{decidedRows("s", 2), 4},
		{decidedRows("other", 5, 6), 4},
		{decidedRows("s", 6, 5, 5, 1), 7},
		{decidedRows("s", 8), 9},
	} {
		p.note(step.heard)
		if got := p.upTo("s"); got != step.want {
			t.Fatalf("all is known up to row %d, want %d", got, step.want)
		}
	}
	p.read("s", 20)
	p.read("s", 15)
	p.note(decidedRows("s", 22))
	p.note(decidedRows("s", 21))
	if got := p.upTo("s"); got != 22 {
		t.Errorf("all is known up to row %d, want 22", got)
	}
}

func TestProgressIsTheSameInAnyOrder(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var r rows
		known := map[int64]bool{}
		for range 400 {
			first := 1 + random.Int64N(300)
			last := first + random.Int64N(4)
			r.add(span{first, last})
			for row := first; row <= last; row++ {
				known[row] = true
			}
		}
		want := int64(0)
		for known[want+1] {
			want++
		}
		if r.all != want {
			t.Fatalf("seed %d: all is known up to row %d, want %d", seed, r.all, want)
		}
	}
}

func TestProgressForgetsTheFurthestWhereTooMuchIsMissing(t *testing.T) {
	var r rows
	for row := int64(2); row <= 10*spansMax; row += 2 {
		r.add(span{row, row})
	}
	if len(r.beyond) != spansMax || r.all != 0 {
		t.Fatalf("%d spans are remembered and all is known up to %d, want %d and 0", len(r.beyond), r.all, spansMax)
	}
	for row := int64(1); row < 4*spansMax; row += 2 {
		r.add(span{row, row})
	}
	if diff := cmp.Diff(int64(2*spansMax+1), r.all); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
