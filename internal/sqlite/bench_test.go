package sqlite_test

import (
	"fmt"
	"testing"
)

// BenchmarkDecide decides tickets of buyers who come once, each batch in one
// commit on a real disk:
//
//	go test -run - -bench Decide ./internal/sqlite
func BenchmarkDecide(b *testing.B) {
	for _, size := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { decideBatches(b, newBook(b, b.TempDir()), size) })
	}
}

// BenchmarkDecideAmongAMillion is the same in a ledger of a million orders.
func BenchmarkDecideAmongAMillion(b *testing.B) {
	books := newBook(b, b.TempDir())
	for range 1000 {
		books.mustSell(1000)
	}
	b.Run("batch=256", func(b *testing.B) { decideBatches(b, books, 256) })
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			books.sound()
		}
	})
}

func decideBatches(b *testing.B, books *book, size int) {
	for b.Loop() {
		books.mustSell(size)
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "tickets/s")
}
