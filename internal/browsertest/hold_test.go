package browsertest

import (
	"fmt"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// held is an answer that reached the browser and not the page: the node has
// decided, and the buyer does not know.
type held struct {
	tab   *Tab
	first chan fetch.RequestID
}

// hold keeps the first answer to an order from the page; later ones pass.
func hold(tab *Tab) (*held, error) {
	h := &held{tab: tab, first: make(chan fetch.RequestID, 1)}
	seen := false
	err := chromedp.Listen(tab.ctx, func(event any) {
		paused, ok := event.(*fetch.EventRequestPaused)
		switch {
		case !ok:
		case !seen:
			seen = true
			h.first <- paused.RequestID
		default: // the listener must not wait for the browser
			go func() {
				_ = call(tab.ctx, fetch.ContinueResponse, fetch.ContinueResponseParams{RequestID: paused.RequestID})
			}()
		}
	})
	if err != nil {
		return nil, err
	}
	return h, call(tab.ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{
		{URLPattern: "*/orders", RequestStage: fetch.RequestStageResponse},
	}})
}

// came waits for the answer, and leaves it where it is.
func (h *held) came() (fetch.RequestID, error) {
	select {
	case id := <-h.first:
		return id, nil
	case <-time.After(patience):
		return "", fmt.Errorf("waited %s for an answer to the order", patience)
	}
}

// lose lets an answer never arrive, as when the connection breaks.
func (h *held) lose(id fetch.RequestID) error {
	return call(h.tab.ctx, fetch.FailRequest, fetch.FailRequestParams{RequestID: id, ErrorReason: network.ErrorReasonConnectionReset})
}

// cutState keeps the state that everybody shares from a tab, as a cache in
// trouble does: the page goes on with what it knows.
func cutState(tab *Tab) error {
	return call(tab.ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{
		URLPatterns: []*network.BlockPattern{{URLPattern: "*://*:*/s/*/state.json", Block: true}},
	})
}
