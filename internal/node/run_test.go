package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
)

// dying is a ledger that stops when the test says so.
type dying struct {
	books
	fatal chan error
}

func (d *dying) Fatal() <-chan error { return d.fatal }

// walking is a function that walks the road.
type walking func(ctx context.Context) error

func (w walking) Run(ctx context.Context) error { return w(ctx) }

// A walker's last write is after the doors are shut.
func TestALedgerThatDiesWhileTheNodeStopsIsTold(t *testing.T) {
	n, err := New(t.Context(), Options{
		Config: settings(t, t.TempDir()), Log: slog.New(slog.DiscardHandler), Stdout: io.Discard, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	ledger, dead := &dying{n.ledger, make(chan error, 1)}, errors.New("fsync failed")
	n.ledger = ledger
	n.engines["last writer"] = walking(func(ctx context.Context) error {
		<-ctx.Done()
		ledger.fatal <- dead
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.Run(ctx); !errors.Is(err, errFatal) || !errors.Is(err, dead) {
		t.Errorf("the node ended with %v, want %v", err, dead)
	}
}
