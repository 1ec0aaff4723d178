package redis

import (
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock/stocktest"
)

func TestStock(t *testing.T) {
	either(t, func(t *testing.T, url string) {
		stocktest.Run(t, func(t *testing.T) stocktest.Machine {
			c := open(t, url)
			s := c.Stock()
			return stocktest.Machine{Counter: s, Supply: s, Forget: func(bucket shop.Bucket) { c.forget(t, bucket) }}
		})
	})
}
