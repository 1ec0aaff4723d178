package fulfil

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// mute is a stock that does not answer while it is away.
type mute struct {
	stock.Counter
	away bool
}

func (m *mute) Undecided(context.Context, shop.Bucket, int) ([]shop.Ticket, error) {
	if m.away {
		return nil, errors.New("connection refused")
	}
	return nil, nil
}

func TestTheSweeperTellsOfAnOutageOnceHoweverManyBucketsThereAre(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	redis := &mute{}
	s := &Sweeper{
		Worker: &Worker{}, Stock: redis, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Buckets: func() (all []shop.Bucket) {
			for n := range 67 {
				all = append(all, shop.Bucket{Sale: fmt.Sprint("sale-", n)})
			}
			return all
		},
	}
	for _, phase := range []struct {
		away bool
		want string
	}{
		{false, ""},
		{true, "undecided tickets cannot be read"},
		{false, "undecided tickets can be read again"},
		{true, "undecided tickets cannot be read"},
	} {
		log.Reset()
		redis.away = phase.away
		for range 20 {
			s.sweep(t.Context())
		}
		said := log.String()
		if lines := strings.Count(said, "\n"); lines > 1 || !strings.Contains(said, phase.want) || (phase.want == "") != (said == "") {
			t.Errorf("away %v: %d lines, want %q once:\n%s", phase.away, lines, phase.want, said)
		}
		if phase.away && !strings.Contains(said, "buckets=67 first=sale-0") {
			t.Errorf("got %q, want how many buckets, and one of them", said)
		}
	}
}

func TestWhatTheSweeperSawToIsReportedOnceAMinute(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	now := time.Unix(1e9, 0)
	s := &Sweeper{Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 121 {
		s.seen += 10
		s.report()
		now = now.Add(time.Second)
	}
	if said := log.String(); strings.Count(said, "\n") != 3 || strings.Count(said, "tickets=600") != 2 {
		t.Errorf("got %q, want 10 tickets at once and 600 after each minute", said)
	}
}
