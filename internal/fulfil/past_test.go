package fulfil

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// counted is a stock that counts the looks at each bucket.
type counted struct {
	stock.Counter
	looks map[string]int
}

func (c *counted) Undecided(_ context.Context, bucket shop.Bucket, _ int) ([]shop.Ticket, error) {
	c.looks[bucket.Sale]++
	return nil, nil
}

func TestSalesThatAreOverAreSweptRarely(t *testing.T) {
	t.Parallel()
	c := &counted{looks: map[string]int{}}
	one := func(sale string) func() []shop.Bucket {
		return func() []shop.Bucket { return []shop.Bucket{{Sale: sale}} }
	}
	s := &Sweeper{Worker: &Worker{}, Stock: c, Buckets: one("open"), Over: one("over"), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	for range 3 * pastEvery {
		s.tick(t.Context())
	}
	if c.looks["open"] != 3*pastEvery || c.looks["over"] != 3 {
		t.Errorf("got %v looks in %d sweeps, want all of them, and 3", c.looks, 3*pastEvery)
	}
}
