package node

import (
	"math"
	"testing"

	"github.com/doorbuster/doorbuster/internal/web"
)

func TestFilesAreKeptAsideForTheStores(t *testing.T) {
	for files, want := range map[uint64]int{
		64: 32, 256: 128, 1024: 896, 16_127: 15_999, 20_000: web.ConnsMax, math.MaxUint64: web.ConnsMax,
	} {
		if got := connsMax(files); got != want {
			t.Errorf("%d buyers' connections of %d files, want %d", got, files, want)
		}
	}
}
