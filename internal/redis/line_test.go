package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// ear hears a line until its test ends.
type ear struct {
	mu   sync.Mutex
	said []string
	gaps int
}

func listenTo(t *testing.T, l *Line) *ear {
	t.Helper()
	e := &ear{}
	ctx, stop := context.WithCancel(context.Background())
	var hearing sync.WaitGroup
	hearing.Go(func() {
		err := l.Hear(ctx, func(message []byte) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.said = append(e.said, string(message))
		}, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.gaps++
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("hear ended with %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		hearing.Wait()
	})
	e.want(t, 1, 0)
	return e
}

func (e *ear) want(t *testing.T, gaps, said int) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.gaps != gaps || len(e.said) != said {
			return fmt.Errorf("%d gaps, said %q; want %d and %d", e.gaps, e.said, gaps, said)
		}
		return nil
	})
}

func TestEveryNodeHearsTheLine(t *testing.T) {
	either(t, func(t *testing.T, url string) {
		o := options(url)
		var ears []*ear
		for range 3 {
			ears = append(ears, listenTo(t, openAs(t, o).Line()))
		}
		other := listenTo(t, open(t, url).Line())
		speaker := openAs(t, o).Line()
		for n := range 20 {
			must(t, speaker.Send(t.Context(), fmt.Append(nil, "word\x00", n)))
		}
		for _, e := range ears {
			e.want(t, 1, 20)
			if !slices.Contains(e.said, "word\x0019") {
				t.Errorf("heard %q", e.said)
			}
		}
		other.want(t, 1, 0) // another ledger's
	})
}

func TestABrokenLineIsAGap(t *testing.T) {
	server := oneRedis(t)
	proxy, err := servers.StartProxy(t.Context(), server.Address)
	must(t, err)
	t.Cleanup(func() { must(t, proxy.Close()) })
	o := options("redis://" + proxy.Address)
	e := listenTo(t, openAs(t, o).Line())
	o.URL = server.URL()
	speaker := openAs(t, o).Line()
	must(t, speaker.Send(t.Context(), []byte("a")))
	e.want(t, 1, 1)
	proxy.CloseAll()
	e.want(t, 2, 1)
	must(t, speaker.Send(t.Context(), []byte("b")))
	e.want(t, 2, 2)
	proxy.Freeze() // half open: nobody says that it is
	must(t, speaker.Send(t.Context(), []byte("lost")))
	eventually(t, 10*time.Second, func() error { // until the listener gives it up by itself
		text, err := server.Do(t.Context(), "PUBSUB", "NUMSUB", speaker.channel())
		if err == nil && !strings.HasSuffix(text, "\n0") {
			err = errors.New(text)
		}
		return err
	})
	proxy.Heal()
	e.want(t, 3, 2)
	must(t, speaker.Send(t.Context(), []byte("c")))
	e.want(t, 3, 3)
}
