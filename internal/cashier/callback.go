package cashier

import (
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
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
		refuse(w, shop.MethodNotAllowed, "Events are posted here.")
		return
	}
	if c.Provider == nil {
		refuse(w, shop.NotFound, "This server hears no payment provider.")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		refuse(w, shop.TooLarge, "An event has 64 KiB at most.")
		return
	}
	if err != nil {
		refuse(w, shop.Malformed, "The event did not arrive whole.")
		return
	}
	err = c.Report(r.Context(), r.Header, body)
	no, malformed := errors.AsType[shop.Refusal](err)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, payments.ErrSignature):
		refuse(w, shop.Unauthorized, "The event's signature does not hold, or it is too old.")
	case malformed:
		refuse(w, no.Code, no.Detail)
	default:
		c.Log.Error("cashier: an event waits for the ledger", slog.Any("error", err))
		w.Header().Set("Retry-After", "5")
		refuse(w, shop.Unavailable, "The event is not recorded. Send it again.")
	}
}

// refuse answers with a refusal as a problem.
func refuse(w http.ResponseWriter, code shop.Code, detail string) {
	w.Header().Set("Content-Type", wire.ProblemType)
	w.WriteHeader(wire.Status(code))
	_, _ = w.Write(wire.AppendRefusal(nil, &shop.Refusal{Code: code, Detail: detail})) // the provider may be gone: it asks again
}
