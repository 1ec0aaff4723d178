package herald

import (
	"context"
	"errors"
)

// faults are what is new in one round: a store that is away fails every sale,
// and a line for each would be as many as there are sales.
type faults struct {
	begun []string // sales with a fault that they did not have before
	err   error    // of the first of them
	over  []string // sales that can be looked at again
}

// fault notes a sale's fault when it changes, not at every look.
func (h *Herald) fault(ctx context.Context, sale string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if ctx.Err() != nil || h.failing[sale] == text || errors.Is(err, context.Canceled) {
		return
	}
	if text == "" {
		delete(h.failing, sale)
		h.news.over = append(h.news.over, sale)
		return
	}
	h.failing[sale] = text
	if h.news.begun = append(h.news.begun, sale); len(h.news.begun) == 1 {
		h.news.err = err
	}
}

// tell logs the round's news.
func (h *Herald) tell() {
	if n := len(h.news.begun); n > 0 {
		h.Log.Error("sales cannot be looked at", "sales", n, "first", h.news.begun[0], "error", h.news.err)
	}
	if n := len(h.news.over); n > 0 {
		h.Log.Info("sales can be looked at again", "sales", n, "first", h.news.over[0])
	}
	h.news = faults{}
}

// deafened logs that the ledger cannot be asked for its sales, and that it can
// be again.
func (h *Herald) deafened(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // told to stop, not turned away
	}
	switch began, ended := h.lists.Note(err); {
	case began:
		h.Log.Error("the ledger cannot be asked for its sales", "error", err)
	case ended:
		h.Log.Info("the ledger can be asked for its sales again")
	}
}
