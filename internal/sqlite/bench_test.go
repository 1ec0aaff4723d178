package sqlite_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"
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

// BenchmarkDecideInManySales is what a ticket costs the processor when the
// batch is of as many sales:
//
//	go test -run - -bench ManySales -count 6 ./internal/sqlite
func BenchmarkDecideInManySales(b *testing.B) {
	const batch = 32 // what waits while 64 buyers order
	for _, sales := range []int{1, 1000} {
		b.Run(fmt.Sprintf("sales=%d", sales), func(b *testing.B) {
			books := newBook(b, b.TempDir())
			for n := 1; n < sales; n++ {
				books.add(fmt.Sprintf("sale-%d", n))
			}
			begun := cpu(b)
			decideBatches(b, books, batch)
			b.ReportMetric(float64((cpu(b)-begun).Microseconds())/float64(batch*b.N), "cpu-µs/ticket")
		})
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func decideBatches(b *testing.B, books *book, size int) {
	for b.Loop() {
		books.mustSell(size)
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "tickets/s")
}
