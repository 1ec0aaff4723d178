package postgres

import (
	"testing"
	"time"
)

func TestAPauseTakesThePlaceOfTheWait(t *testing.T) {
	const others = 9 * time.Millisecond // they keep the turnstile for so long
	var p pace
	pause := func() time.Duration { return time.Duration(p.pause.Load()) }
	for range 100 {
		p.note(quietWait + max(0, others-pause()))
	}
	if got, want := pause(), 4*others/5; got < want-time.Millisecond || got > want+time.Millisecond {
		t.Errorf("with a busy neighbour the pause settles at %v, want some %v", got, want)
	}
	for range 100 {
		p.note(quietWait)
	}
	if got := pause(); got != 0 {
		t.Errorf("without him it is still %v", got)
	}
	const stays = time.Millisecond // however long it is paused
	for range 100 {
		p.note(quietWait + stays)
	}
	if got := pause(); got > 4*stays {
		t.Errorf("against a wait of %v that it does not shorten it grows to %v", stays, got)
	}
	p.note(3 * time.Second) // an operator's lock
	if got := pause(); got != pauseMax {
		t.Errorf("after a lock of 3 s it is %v, want %v", got, pauseMax)
	}
}
