package node

import (
	"context"
	"errors"
	"testing"
)

func TestAWalkerThatEndsByItselfSaysSo(t *testing.T) {
	for want, err := range map[string]error{
		"worker 0 ended: no road":                         errors.New("no road"),
		"worker 0 ended by itself, without being told to": nil,
	} {
		c := muster(t.Context(), map[string]walker{"worker 0": walking(func(context.Context) error { return err })})
		if got := <-c.failed; got.Error() != want {
			t.Errorf("got %q, want %q", got, want)
		}
		c.stop()
	}
}
