package node

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/ledger"
)

// A node behind a proxy of its own machine whose payments nobody chose says so
// at its start, to whoever looks at its health, and of each sale that costs
// something; one that was told so is silent.
func TestPlayMoneyBehindAProxyIsSaidWhereAnOperatorLooks(t *testing.T) {
	const said = "buyers pay with play money"
	for _, chosen := range []bool{false, true} {
		folder, anywhere, proxies, payments := t.TempDir(), "127.0.0.1:0", "127.0.0.1", "sandbox"
		flags := config.Flags{Data: &folder, Listen: &anywhere, AdminListen: &anywhere, TrustedProxies: &proxies}
		if chosen {
			flags.Payments = &payments
		}
		c, err := config.Read(flags, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		n, err := New(t.Context(), Options{Config: c, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), Stdout: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		costs, free := sale(1, 100), sale(1, 0)
		if doubts := fmt.Sprint(n.doubts(&costs, ledger.Created)); strings.Contains(doubts, said) == chosen {
			t.Errorf("chosen %t: doubts of a sale are %s", chosen, doubts)
		}
		if doubts := n.doubts(&free, ledger.Created); len(doubts) > 0 {
			t.Errorf("chosen %t: doubts of a sale that is free are %v", chosen, doubts)
		}
		h := run(t, n)
		_, health := h.call("GET", h.operators("/healthz"), "", "")
		if strings.Contains(fmt.Sprint(health["warnings"]), said) == chosen {
			t.Errorf("chosen %t: health says %v", chosen, health)
		}
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		if strings.Contains(log.String(), said) == chosen || chosen && log.Len() > 0 {
			t.Errorf("chosen %t: the log says %s", chosen, log.String())
		}
	}
}

func TestASaleThatIsClosedAtOnceIsADoubtWhenItIsNew(t *testing.T) {
	h := start(t, t.TempDir(), sale(1, 0))
	past := sale(1, 0)
	past.OpensAt, past.ClosesAt = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	for did, want := range map[ledger.Published]bool{ledger.Created: true, ledger.Changed: true, ledger.Same: false} {
		if got := strings.Contains(fmt.Sprint(h.node.doubts(&past, did)), "closes_at is past"); got != want {
			t.Errorf("publication %v: said %v, want %v", did, got, want)
		}
	}
}

// Health asks for no token, so it does not tell everybody that the token is
// easily guessed.
func TestAShortTokenIsToldToTheLogAlone(t *testing.T) {
	folder, anywhere := t.TempDir(), "127.0.0.1:0"
	c, err := config.Read(config.Flags{Data: &folder, Listen: &anywhere, AdminListen: &anywhere}, func(name string) string {
		if name == "DOORBUSTER_ADMIN_TOKEN" {
			return "12345678"
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	n, err := New(t.Context(), Options{Config: c, Log: slog.New(slog.NewTextHandler(&log, nil)), Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	h := run(t, n)
	if _, health := h.call("GET", h.operators("/healthz"), "", ""); strings.Contains(fmt.Sprint(health), "token") {
		t.Errorf("health says %v", health)
	}
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "the operators' token is short") {
		t.Errorf("the log says %s", log.String())
	}
}
