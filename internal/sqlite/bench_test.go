package sqlite_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

func BenchmarkDecide(b *testing.B) {
	for _, size := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			l, err := sqlite.Open(b.Context(), sqlite.Options{Dir: b.TempDir(), Now: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			sale := shop.Sale{ID: "s", OpensAt: time.Now(), Hold: time.Minute, LimitPerBuyer: 1, Items: []shop.Item{{SKU: "a", Stock: 100_000_000, Price: shop.Money{Amount: 100, Currency: "EUR"}}}}
			if _, err := l.Publish(b.Context(), sale); err != nil {
				b.Fatal(err)
			}
			bucket := shop.Bucket{Sale: "s"}
			if _, err := l.Bump(b.Context(), bucket, 0); err != nil {
				b.Fatal(err)
			}
			if _, err := l.Grant(b.Context(), bucket, 1, ledger.Grant{SKU: "a", Quantity: 100_000_000}); err != nil {
				b.Fatal(err)
			}
			tickets := make([]shop.Ticket, size)
			n := 0
			for b.Loop() {
				for i := range tickets {
					n++
					var raw [24]byte
					_, _ = rand.Read(raw[:])
					tickets[i] = shop.Ticket{Claim: shop.ClaimID(raw[:16]), Bucket: bucket, Epoch: 1, Seq: int64(n), Nonce: uint64(n) << 20, KeyPrint: uint64(raw[3]) << 40, Buyer: fmt.Sprintf("buyer-%x", raw[16:]), SKU: "a", Quantity: 1}
				}
				d, err := l.Decide(b.Context(), tickets)
				if err != nil || d[0].Order.Status != shop.AwaitingPayment {
					b.Fatal(err, d)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tickets/s")
		})
	}
}
