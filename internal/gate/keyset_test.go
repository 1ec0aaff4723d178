package gate

import (
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestAKeySetHoldsExactlyWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set KeySet
		model := map[uint64]bool{}
		// A narrow range makes repeats and clusters; 0 is a key like any other.
		key := rapid.OneOf(rapid.Uint64Range(0, 700), rapid.Uint64(), rapid.Just(^uint64(0)))
		for range rapid.IntRange(0, 2000).Draw(t, "adds") {
			added := key.Draw(t, "key")
			set.Add(added)
			model[added] = true
		}
		for range 200 {
			asked := key.Draw(t, "asked")
			if got, want := set.Has(asked), model[asked]; got != want {
				t.Fatalf("Has(%d) = %v, want %v", asked, got, want)
			}
		}
		for added := range model {
			if !set.Has(added) {
				t.Fatalf("Has(%d) = false after Add", added)
			}
		}
		if set.Len() != len(model) {
			t.Fatalf("Len() = %d, want %d", set.Len(), len(model))
		}
	})
}

func TestAnEmptyKeySetHasNothing(t *testing.T) {
	var set KeySet
	for _, key := range []uint64{0, 1, ^uint64(0)} {
		if set.Has(key) {
			t.Errorf("Has(%d) = true, want false", key)
		}
	}
}

// A reader that was told of a key must find it, however often the table grows
// under it.
func TestReadersNeverMissAKeyWhileTheSetGrows(t *testing.T) {
	var set KeySet
	const keys = 50_000
	told := make(chan uint64, 64)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for key := range told {
				if !set.Has(key) {
					t.Errorf("Has(%d) = false after Add returned", key)
				}
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range keys {
				key := random.Uint64()
				set.Add(key)
				told <- key
			}
		})
	}
	writers.Wait()
	close(told)
	group.Wait()
	if set.Len() != 2*keys {
		t.Errorf("Len() = %d, want %d", set.Len(), 2*keys)
	}
}

func BenchmarkKeySetHas(b *testing.B) {
	for _, c := range []struct {
		name string
		held bool
	}{{"absent", false}, {"held", true}} {
		b.Run(c.name, func(b *testing.B) {
			var set KeySet
			random := rand.New(rand.NewPCG(1, 2))
			asked := make([]uint64, 1<<16)
			for i := range 1_000_000 {
				key := random.Uint64()
				set.Add(key)
				asked[i%len(asked)] = key
			}
			if !c.held {
				for i := range asked {
					asked[i] = random.Uint64()
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if set.Has(asked[i&(len(asked)-1)]) != c.held {
					b.Fatal("wrong answer")
				}
				i++
			}
		})
	}
}

func BenchmarkKeySetAdd(b *testing.B) {
	var set KeySet
	random := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		set.Add(random.Uint64() >> 40) // up to 16 M keys, then repeats
	}
}
