package admin_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
)

const suspectsURL = "/admin/api/v1/suspects"

func TestSuspectsAreShownWithReasonsAndHowToUndoIt(t *testing.T) {
	h := open(t)
	h.wants(h.ask("GET", suspectsURL, ""), http.StatusOK, `{"suspects":[]}`)
	at := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	h.seen = []gate.Suspect{
		{
			Sale: "retro-85", Buyer: "4711", Client: netip.MustParseAddr("203.0.113.9"), Signals: 1<<gate.Crowded | 1<<gate.NoPage,
			First: at.UnixNano(), Last: at.Add(1500 * time.Millisecond).UnixNano(), Times: 7, Solved: 2,
		},
		{Sale: "retro-85", Buyer: "a b", Signals: 1 << gate.Regular, First: at.UnixNano(), Last: at.UnixNano(), Times: 1, Allowed: true},
	}
	want := `{"suspects":[` +
		`{"sale":"retro-85","buyer":"4711","address":"203.0.113.0/24","score":2,"from":2,"reasons":["crowded","no_page"],"done":"challenge",` +
		`"times":7,"solved":2,"first":"2026-12-01T10:00:00.000Z","last":"2026-12-01T10:00:01.500Z","undo":"buyer:4711","allowed":false},` +
		`{"sale":"retro-85","buyer":"a b","address":"unknown","score":2,"from":2,"reasons":["regular"],"done":"challenge",` +
		`"times":1,"solved":0,"first":"2026-12-01T10:00:00.000Z","last":"2026-12-01T10:00:00.000Z","undo":"buyer:a b","allowed":true}]}`
	for _, query := range []string{"", "?sale=retro-85"} {
		if got := h.wants(h.ask("GET", suspectsURL+query, ""), http.StatusOK); strings.TrimSpace(got.body) != want {
			t.Errorf("%q: got %s\nwant %s", query, got.body, want)
		}
	}
	h.wants(h.ask("GET", suspectsURL+"?sale=other", ""), http.StatusOK, `{"suspects":[]}`)
	h.wants(h.ask("GET", suspectsURL+"?buyer=4711", ""), http.StatusBadRequest, `\"buyer\" is not a parameter here; known is sale.`)
	h.wants(h.ask("POST", suspectsURL, "{}"), http.StatusMethodNotAllowed)
	h.wants(h.ask("GET", suspectsURL, "", "Authorization", "Bearer wrong"), http.StatusUnauthorized)
}
