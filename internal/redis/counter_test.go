package redis

import (
	"fmt"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// inLine is a counter where so many wait, one by one, and so many calls are
// under way.
func inLine(waiting, flights int) *counter {
	c := &counter{asks: waiting, flights: flights}
	for n := range waiting {
		c.waiting = append(c.waiting, &party{asks: []stock.Ask{{Claim: shop.ClaimID{byte(n), byte(n >> 8)}, Buyer: fmt.Sprint(n)}}})
	}
	return c
}

func TestMoreCallsAreUnderWayOnlyWhileTheyAreFull(t *testing.T) {
	for _, c := range []struct {
		waiting, flights int
		takes, stay      int // who boards; calls under way then
	}{
		{waiting: 1, flights: 1, takes: 1, stay: 1},
		{waiting: 1, flights: flightsMax, takes: 1, stay: flightsMax},
		{waiting: 0, flights: flightsMax, takes: 0, stay: flightsMax - 1},
		{waiting: batchMax - 1, flights: flightsMax + 1, takes: 0, stay: flightsMax},
		{waiting: batchMax + 9, flights: flightsMax + 1, takes: batchMax, stay: flightsMax + 1},
	} {
		line := inLine(c.waiting, c.flights)
		batch := line.board()
		if len(batch) != c.takes || line.flights != c.stay || len(line.waiting) != c.waiting-c.takes || line.asks != c.waiting-c.takes {
			t.Errorf("%d in line, %d calls: %d board, %d and %d asks stay in line, %d calls are left; want %d, %d and %d",
				c.waiting, c.flights, len(batch), len(line.waiting), line.asks, line.flights, c.takes, c.waiting-c.takes, c.stay)
		}
	}
}
