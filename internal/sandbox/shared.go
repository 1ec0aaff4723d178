package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// askMax bounds a question to the shop: a buyer waits for the page.
const askMax = 3 * time.Second

// lockName is the file that keeps a second sandbox out of the folder.
const lockName = "sandbox.lock"

// look returns the order's payment and where it stands. Money that the journal
// has is there. Else the shop knows best: another node may have taken the money,
// ended the order, or given out its page. A shop.Refusal: nobody knows it.
func (p *Provider) look(ctx context.Context, id shop.ClaimID) (payment, state, error) {
	found, ok := p.kept(id)
	if ok && (found.Charge != nil || p.config.Order == nil) {
		return found, found.state(p.config.Now()), nil
	}
	if p.config.Order == nil {
		return payment{}, over, shop.Refusal{Code: shop.NotFound, Detail: "There is no such payment."}
	}
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	order, returnTo, err := p.config.Order(ctx, id)
	if err != nil && ok {
		// As a provider elsewhere would: it takes the money of an order that it was
		// told of, and reports it when the shop is back. The ledger decides then.
		p.config.Log.Warn("sandbox: the shop does not say how an order stands; its page goes by this node's journal", slog.Any("error", err))
		return found, found.state(p.config.Now()), nil
	}
	if err == nil && !ok {
		found, err = *newPayment(&order, returnTo), checkReturn(returnTo)
	}
	if err != nil {
		return payment{}, over, err
	}
	switch order.Status {
	case shop.AwaitingPayment:
		return found, found.state(p.config.Now()), nil
	case shop.Paid, shop.RefundDue, shop.Refunded: // money came, wherever
		return found, paid, nil
	default:
		return found, over, nil
	}
}

// kept returns a copy of what the journal has of the order's payment.
func (p *Provider) kept(id shop.ClaimID) (payment, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.payments[id]
	if !ok {
		return payment{}, false
	}
	return *known, true
}

// lockFolder takes the folder for this process alone: two that append to one
// journal would damage it. The kernel gives the lock back when the process
// ends, however it ends.
func lockFolder(folder string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(folder, lockName), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own data folder
	if err != nil {
		return nil, fmt.Errorf("lock the sandbox's journal: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("another node keeps its payments in %s: give this one a folder of its own with --data", folder)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
