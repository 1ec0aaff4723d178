package node

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// mute is a ledger that does not say how units are spread, and takes its time.
type mute struct {
	books
	speak chan struct{}
}

func (m mute) Stand(ctx context.Context, sale string) (ledger.Stand, error) {
	<-m.speak
	return m.books.Stand(ctx, sale)
}

func TestMetricsWithoutTheLedgersPartComeAllTheSame(t *testing.T) {
	n, err := New(t.Context(), Options{
		Config: settings(t, filepath.Join(t.TempDir(), "data")), Log: slog.New(slog.DiscardHandler), Stdout: io.Discard, Version: "test",
		Sales: []shop.Sale{sale(1, 100)},
	})
	if err != nil {
		t.Fatal(err)
	}
	speak := make(chan struct{})
	n.ledger = mute{n.ledger, speak} // for whoever asks from now on
	h := run(t, n)
	defer close(speak)
	response, err := http.Get(h.operators("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(raw); !strings.Contains(text, "doorbuster_ready ") || strings.Contains(text, "doorbuster_units{") {
		t.Errorf("want all but the units of sales:\n%s", text)
	}
}
