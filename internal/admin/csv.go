package admin

import (
	"encoding/csv"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// csvHeader names the columns as the JSON does.
func csvHeader() []string {
	return []string{
		"id", "sale", "buyer", "sku", "quantity", "status", "reason", "amount", "currency",
		"created_at", "pay_by", "as_of", "reference",
	}
}

// streamCSV writes every order that the query selects, page by page.
func (d *Door) streamCSV(w http.ResponseWriter, r *http.Request, query ledger.Query) {
	query.Limit = pageMax
	orders, next, err := d.Orders.List(r.Context(), query)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	control := http.NewResponseController(w)
	unhurried(control)
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", `attachment; filename="`+query.Sale+`-orders.csv"`)
	w.Header().Add("Vary", "Accept")
	out := csv.NewWriter(w)
	_ = out.Write(csvHeader())
	for {
		for i := range orders {
			_ = out.Write(csvRow(&orders[i])) // keeps its first error for Error
		}
		out.Flush()
		if out.Error() != nil || next == "" {
			return
		}
		query.After = next
		if orders, next, err = d.Orders.List(r.Context(), query); err != nil {
			d.Log.Error("list orders for a CSV", slog.String("sale", query.Sale), slog.Any("error", err))
			cutOff(control)
			return
		}
	}
}

// unhurried lifts the time limit of an answer: a million orders take longer to
// read than anything else. Only bearers of the token get here, and a drain ends
// it.
func unhurried(control *http.ResponseController) {
	_ = control.SetWriteDeadline(time.Time{}) // not where a test listens
}

// cutOff ends the connection without the end of the answer, so that half a
// list is not taken for the whole.
func cutOff(control *http.ResponseController) {
	if conn, _, err := control.Hijack(); err == nil {
		_ = conn.Close()
	}
}

func csvRow(order *shop.Order) []string {
	reason := ""
	if order.Status == shop.Refused {
		reason = string(order.Reason)
	}
	return []string{
		order.ID.String(), order.Sale, harmless(order.Buyer), harmless(order.SKU), strconv.FormatInt(order.Quantity, 10),
		order.Status.String(), reason, strconv.FormatInt(order.Amount, 10), order.Currency,
		moment(order.CreatedAt), moment(order.PayBy), strconv.FormatInt(order.AsOf, 10), harmless(order.Reference),
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return string(wire.AppendMoment(nil, t))
}

// harmless keeps a spreadsheet from running a buyer's text as a formula.
func harmless(text string) string {
	if text == "" {
		return ""
	}
	switch text[0] {
	case '=', '+', '-', '@', '\t', '\r':
		return "'" + text
	}
	return text
}
