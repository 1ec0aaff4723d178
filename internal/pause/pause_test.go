package pause_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/pause"
)

func TestFor(t *testing.T) {
	t.Run("it lasts as long as it was asked to", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			if !pause.For(t.Context(), time.Minute) || time.Since(begun) != time.Minute {
				t.Errorf("it took %s, want a minute and a context that goes on", time.Since(begun))
			}
		})
	})
	t.Run("the end of the context ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			if pause.For(ctx, time.Minute) || time.Since(begun) != time.Second {
				t.Errorf("it took %s, want a second and a context that has ended", time.Since(begun))
			}
		})
	})
	t.Run("no time is no wait", func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if !pause.For(t.Context(), 0) || pause.For(ended, -time.Second) {
			t.Error("a wait of nothing does not report whether the context goes on")
		}
	})
}
