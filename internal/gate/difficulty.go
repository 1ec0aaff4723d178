package gate

import (
	"sync/atomic"
	"time"
)

const (
	// LevelMax is how often the work of a challenge doubles under pressure: four
	// times the usual work is what an old phone does in the seconds that a buyer
	// waits.
	LevelMax = 2
	// difficultyStep is how many orders a second, of one sale at one node,
	// double the work; twice as many double it again. A small machine decides
	// more than that; whoever is that busy is mostly not a person.
	difficultyStep = 1000
)

// A word of Difficulty: the second, then how many came in it, then the level.
const (
	levelBits = 8
	countBits = 24
	countMax  = 1<<countBits - 1
)

// Difficulty is how hard a sale's challenges are at one node. It rises at once
// with the orders of the current second, and falls by a level a second. The
// zero Difficulty is at rest.
type Difficulty struct{ word atomic.Uint64 }

// Note counts an order that needs a challenge. now is in Unix nanoseconds.
func (p *Difficulty) Note(now int64) {
	for {
		word := p.word.Load()
		second, count, level := at(word, now)
		count = min(count+1, countMax)
		if level < LevelMax && count >= difficultyStep<<level {
			level++
		}
		if p.word.CompareAndSwap(word, second<<(countBits+levelBits)|count<<levelBits|level) {
			return
		}
	}
}

// Level returns how hard a challenge is to be, from 0 to LevelMax.
func (p *Difficulty) Level(now int64) int {
	_, _, level := at(p.word.Load(), now)
	return int(level) //nolint:gosec // LevelMax at most
}

// at returns what a word says at a later time. A clock that was set back stands
// still.
func at(word uint64, now int64) (second, count, level uint64) {
	second, count, level = word>>(countBits+levelBits), word>>levelBits&countMax, word&(1<<levelBits-1)
	today := uint64(uint32(now / int64(time.Second))) //nolint:gosec // seconds until 2106
	if today <= second {
		return second, count, level
	}
	return today, 0, level - min(level, today-second)
}
