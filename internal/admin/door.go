// Package admin is the operators' door: the API behind a bearer token, health,
// metrics and profiles, on a listener of its own.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Door answers operators. Its fields are set once, before Serve.
type Door struct {
	Token  gate.Secret
	Sales  ledger.Sales
	Orders ledger.Orders
	Supply ledger.Supply

	Lists ledger.Lists
	// Filed returns the entries of the lists that stand in files.
	Filed func() []shop.Entry
	// Listed returns when the gate knows what an operator did to its lists.
	Listed func()
	// Suspects returns the buyers whom the gates of all nodes suspected last,
	// newest first; "" stands for any sale.
	Suspects func(sale string) []gate.Suspect
	Now      func() time.Time // the ledger's clock

	// Publisher publishes a sale. Where that lowers stock, it first brings
	// units back to the pool, which the ledger alone cannot do.
	Publisher func(ctx context.Context, sale shop.Sale) (ledger.Published, error)
	// Order returns an order as it now stands; ledger.ErrNotFound where there is none.
	Order func(ctx context.Context, id shop.ClaimID) (shop.Order, error)
	// Warn says what an operator should know of a sale that he publishes, and of
	// what that did; nil: nothing.
	Warn func(sale *shop.Sale, did ledger.Published) []string
	// Pay and Cancel are the cashier's, who also tells the payment provider.
	Pay    func(ctx context.Context, payment ledger.Payment) (shop.Order, error)
	Cancel func(ctx context.Context, cancellation ledger.Cancellation) (shop.Order, error)
	// Audit evaluates every invariant of one sale.
	Audit func(ctx context.Context, sale string) ([]audit.Result, error)
	// Changed returns when buyers are told of what an operator did to a sale.
	Changed func(sale string)

	Refused Refused
	Health  func() Health
	Metrics http.Handler
	Log     *slog.Logger
}

// Health says whether the node is ready for buyers, and if not, why.
type Health struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	// Warnings is what an operator should know although the node sells.
	Warnings []string `json:"warnings,omitempty"`
}

// Bounds of the listener. Operators are few, but they must not hold the node
// up.
const (
	readHeaderMax = 3 * time.Second
	readMax       = 5 * time.Second
	writeMax      = 10 * time.Second // a CSV of all orders lifts it
	idleMax       = 30 * time.Second
	headerMax     = 8 << 10
	drainMax      = 20 * time.Second
)

// Serve answers operators who come through the listener until ctx ends, then
// finishes what is in flight and returns http.ErrServerClosed.
func (d *Door) Serve(ctx context.Context, listener net.Listener) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true) // TLS and HTTP/2 end at the proxy in front
	server := &http.Server{
		Handler:           d.Handler(),
		Protocols:         &protocols,
		ReadHeaderTimeout: readHeaderMax,
		ReadTimeout:       readMax,
		WriteTimeout:      writeMax,
		IdleTimeout:       idleMax,
		MaxHeaderBytes:    headerMax,
		ErrorLog:          slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve operators: %w", err)
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainMax)
	defer cancel()
	if err := server.Shutdown(bound); err != nil {
		return errors.Join(fmt.Errorf("finish operators' requests: %w", err), server.Close(), <-served)
	}
	return <-served
}
