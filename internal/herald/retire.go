package herald

import (
	"context"
	"time"
)

// retireAfter is for how long a sale is closed before its stock is retired. By
// then every node has turned its buyers away for seconds, and what they had
// reserved before is decided.
const retireAfter = 10 * time.Second

// retire has the stock of a closed sale emptied when its time has come, in as
// many rounds as it takes. What hinders it concerns no buyer: the notice stays
// as it is.
func (h *Herald) retire(ctx context.Context, sale string) {
	if last, ok := h.Board.Notice(sale); h.Retire == nil || (ok && last.Over) {
		delete(h.closed, sale)
		return
	}
	now := h.Clock.Now()
	since, known := h.closed[sale]
	if !known {
		h.closed[sale] = now
		return
	}
	if now.Sub(since) >= retireAfter {
		h.Retire(ctx, sale)
	}
}
