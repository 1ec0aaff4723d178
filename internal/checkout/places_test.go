package checkout

import (
	"encoding/binary"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestRememberedPlacesAreBounded(t *testing.T) {
	var p places
	claim := func(n int) (id shop.ClaimID) {
		binary.BigEndian.PutUint32(id[:], uint32(n))
		return id
	}
	const last = 3*placesMax + 7
	for n := range last + 1 {
		p.note(claim(n), "retro")
	}
	if n := len(p.young) + len(p.old); n > 2*placesMax {
		t.Errorf("%d places are remembered, want %d at most", n, 2*placesMax)
	}
	if got := p.of(claim(last - placesMax)); got != "retro" {
		t.Errorf("of the newest it knows %q", got)
	}
	if got := p.of(claim(0)); got != "" {
		t.Errorf("of the first it knows %q, want it forgotten", got)
	}
}
