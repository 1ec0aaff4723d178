package admin

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// Bounds of what operators ask and write.
const (
	pageDefault  = 100
	pageMax      = 1000
	referenceMax = 200 // runes of a reference or reason
)

func (d *Door) listOrders(w http.ResponseWriter, r *http.Request) {
	query, no := readQuery(r)
	if no != nil {
		refuse(w, *no)
		return
	}
	if wantsCSV(r.Header.Values("Accept")) {
		d.streamCSV(w, r, query)
		return
	}
	orders, next, err := d.Orders.List(r.Context(), query)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	out := []byte(`{"orders":[`)
	for i := range orders {
		if i > 0 {
			out = append(out, ',')
		}
		out = wire.AppendOrder(out, &orders[i], true)
	}
	out = append(out, `],"next":`...)
	if next == "" {
		out = append(out, `null}`...)
	} else {
		out = append(wire.AppendString(out, next), '}')
	}
	write(w, http.StatusOK, "application/json", out)
}

// readQuery reads the filter of a list. An unknown name is refused: a slip
// would list what was not asked for.
func readQuery(r *http.Request) (ledger.Query, *shop.Refusal) {
	query := ledger.Query{Sale: r.PathValue("sale"), Limit: pageDefault}
	values, err := parseQuery(r)
	if err != nil {
		return query, err
	}
	for name, value := range values {
		switch name {
		case "after":
			query.After = value
		case "limit":
			limit, err := strconv.Atoi(value)
			if err != nil || limit < 1 || limit > pageMax {
				return query, malformed("limit is " + strconv.Quote(value) + "; write a whole number from 1 to " + strconv.Itoa(pageMax) + ".")
			}
			query.Limit = limit
		case "status":
			status, ok := shop.ParseStatus(value)
			if !ok {
				return query, malformed("status is " + strconv.Quote(value) + "; write one of " + statusNames() + ".")
			}
			query.Status = &status
		default:
			return query, malformed(strconv.Quote(name) + " is not a parameter here; known are status, after and limit.")
		}
	}
	return query, nil
}

func parseQuery(r *http.Request) (map[string]string, *shop.Refusal) {
	single := map[string]string{}
	for name, values := range r.URL.Query() {
		if len(values) > 1 {
			return nil, malformed(strconv.Quote(name) + " appears twice; keep one of them.")
		}
		single[name] = values[0]
	}
	return single, nil
}

func statusNames() string {
	var names []string
	for _, status := range shop.Statuses() {
		names = append(names, status.String())
	}
	return strings.Join(names, ", ")
}

func malformed(detail string) *shop.Refusal {
	return &shop.Refusal{Code: shop.Malformed, Detail: detail}
}

// wantsCSV reports whether an Accept header names text/csv and does not turn
// it down.
func wantsCSV(accept []string) bool {
	for entry := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		parts := strings.Split(entry, ";")
		if !strings.EqualFold(strings.TrimSpace(parts[0]), "text/csv") {
			continue
		}
		return !slices.ContainsFunc(parts[1:], func(parameter string) bool {
			name, value, _ := strings.Cut(parameter, "=")
			weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return strings.EqualFold(strings.TrimSpace(name), "q") && err == nil && weight == 0
		})
	}
	return false
}

// Charge is money that came for an order, as operators see it.
type Charge struct {
	Reference string `json:"reference"`
	Amount    int64  `json:"amount"` // minor units
	Currency  string `json:"currency"`
	RefundDue bool   `json:"refund_due"` // it pays nothing, or does not any more
	At        string `json:"at"`         // RFC 3339, UTC
}

// showOrder answers with an order and the money that came for it.
func (d *Door) showOrder(w http.ResponseWriter, r *http.Request) {
	id, ok := d.orderID(w, r)
	if !ok {
		return
	}
	order, err := d.Order(r.Context(), id)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	money, err := d.Orders.Charges(r.Context(), id)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	charges := make([]Charge, 0, len(money))
	for i := range money {
		m := &money[i]
		charges = append(charges, Charge{m.Reference, m.Amount, m.Currency, m.Due, string(wire.AppendMoment(nil, m.At))})
	}
	list, _ := json.Marshal(charges) // plain structs
	out := wire.AppendOrder(nil, &order, true)
	out = append(append(out[:len(out)-1], `,"charges":`...), list...)
	write(w, http.StatusOK, "application/json", append(out, '}'))
}

func (d *Door) reportPaid(w http.ResponseWriter, r *http.Request) {
	id, reference, ok := d.referenced(w, r)
	if !ok {
		return
	}
	order, err := d.Pay(r.Context(), ledger.Payment{Order: id, Reference: reference})
	if no, ok := errors.AsType[shop.Refusal](err); ok { // the answer may get lost, the money must not
		d.Log.Warn("money was reported that pays nothing", slog.String("order", id.String()), slog.String("reference", reference), slog.String("why", no.Detail))
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.note("paid", id.String())
	sayOrder(w, order)
}

func (d *Door) reportRefunded(w http.ResponseWriter, r *http.Request) {
	id, reference, ok := d.referenced(w, r)
	if !ok {
		return
	}
	order, err := d.Orders.Refund(r.Context(), id, reference)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.note("refunded", id.String())
	sayOrder(w, order)
}

func (d *Door) cancelOrder(w http.ResponseWriter, r *http.Request) {
	id, ok := d.orderID(w, r)
	if !ok {
		return
	}
	var wish struct {
		Reason  string `json:"reason"`
		Restock bool   `json:"restock"`
	}
	if !form(w, r, &wish) {
		return
	}
	if !fits(wish.Reason) {
		refuse(w, *malformed("reason: write one line of at most " + strconv.Itoa(referenceMax) + " characters."))
		return
	}
	order, err := d.Cancel(r.Context(), ledger.Cancellation{Order: id, Reason: wish.Reason, Restock: wish.Restock})
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.note("cancel", id.String())
	sayOrder(w, order)
}

func (d *Door) orderID(w http.ResponseWriter, r *http.Request) (shop.ClaimID, bool) {
	id, ok := shop.ParseClaimID(r.PathValue("id"))
	if !ok {
		d.fail(w, r, ledger.ErrNotFound)
	}
	return id, ok
}

// referenced reads the order's id from the path and {"reference": …}, which
// names a payment or refund and makes a repeat harmless.
func (d *Door) referenced(w http.ResponseWriter, r *http.Request) (shop.ClaimID, string, bool) {
	id, ok := d.orderID(w, r)
	if !ok {
		return id, "", false
	}
	var report struct {
		Reference string `json:"reference"`
	}
	if !form(w, r, &report) {
		return id, "", false
	}
	if strings.TrimSpace(report.Reference) == "" || !fits(report.Reference) {
		refuse(w, *malformed("reference: write what names the payment, one line of 1 to " + strconv.Itoa(referenceMax) + " characters."))
		return id, "", false
	}
	return id, report.Reference, true
}

func fits(text string) bool {
	return utf8.RuneCountInString(text) <= referenceMax && !strings.ContainsFunc(text, unicode.IsControl)
}
