package cashier

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// bodyMax is the longest callback that is read: providers send a few KiB.
const bodyMax = 64 << 10

// Callback is the endpoint that the provider posts its events to. Only a 2xx
// means that the ledger has what was reported; after anything else the
// provider asks again.
func (c *Cashier) Callback() http.Handler { return http.HandlerFunc(c.callback) }

func (c *Cashier) callback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		c.refuse(w, http.StatusMethodNotAllowed, shop.MethodNotAllowed, "Events are posted here.")
		return
	}
	if c.Provider == nil {
		c.refuse(w, http.StatusNotFound, shop.NotFound, "This server hears no payment provider.")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		c.refuse(w, http.StatusRequestEntityTooLarge, shop.TooLarge, "An event has 64 KiB at most.")
		return
	}
	if err != nil {
		c.refuse(w, http.StatusBadRequest, shop.Malformed, "The event did not arrive whole.")
		return
	}
	err = c.Report(r.Context(), r.Header, body)
	no, malformed := errors.AsType[shop.Refusal](err)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, payments.ErrSignature):
		c.refuse(w, http.StatusUnauthorized, shop.Unauthorized, "The event's signature does not hold, or it is too old.")
	case malformed:
		c.refuse(w, http.StatusBadRequest, no.Code, no.Detail)
	default:
		c.Log.Error("cashier: an event waits for the ledger", slog.Any("error", err))
		w.Header().Set("Retry-After", "5")
		c.refuse(w, http.StatusServiceUnavailable, shop.Unavailable, "The event is not recorded. Send it again.")
	}
}

// refuse answers with a problem (RFC 9457).
func (c *Cashier) refuse(w http.ResponseWriter, status int, code shop.Code, detail string) {
	body, err := json.Marshal(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": detail,
	})
	if err != nil {
		c.Log.Error("cashier: write a problem", slog.Any("error", err))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the provider may be gone: it asks again
}
