package sandbox

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// declinedMark in a page's query shows that an attempt was just declined. A
// reload then asks for the page, not for another attempt.
const declinedMark = "declined"

// Handler serves the payment pages, under /sandbox/. Who has a page's address
// may pay there: it is unguessable, so that there is nothing to sign in to.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pagePrefix+"{page}", p.show)
	mux.HandleFunc("POST "+pagePrefix+"{page}/pay", p.pay)
	mux.HandleFunc("POST "+pagePrefix+"{page}/decline", p.decline)
	mux.HandleFunc("POST "+pagePrefix+"{page}/leave", p.leave)
	return mux
}

// find returns the payment whose page the request names, and where it stands,
// or answers that there is none.
func (p *Provider) find(w http.ResponseWriter, r *http.Request) (payment, state, bool) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // the address is the key to the page
	w.Header().Set("X-Content-Type-Options", "nosniff")
	id, genuine := p.order(r.PathValue("page"))
	if !genuine {
		http.Error(w, "There is no such payment.", http.StatusNotFound)
		return payment{}, over, false
	}
	found, state, err := p.look(r.Context(), id)
	if _, unknown := errors.AsType[shop.Refusal](err); unknown {
		http.Error(w, "This payment is over. Go back to your order to see where it stands, or to pay again.", http.StatusNotFound)
		return payment{}, over, false
	}
	if err != nil {
		p.fault(w, err)
		return payment{}, over, false
	}
	return found, state, true
}

func (p *Provider) show(w http.ResponseWriter, r *http.Request) {
	payment, state, ok := p.find(w, r)
	if !ok {
		return
	}
	path := r.URL.Path
	view := page.Sandbox{
		State: page.SandboxOpen, Title: payment.Sale, Item: payment.SKU,
		Quantity: payment.Quantity, Amount: payment.Amount, Currency: payment.Currency, PayBy: payment.PayBy,
		PayURL: path + "/pay", DeclineURL: path + "/decline", LeaveURL: path + "/leave", ReturnURL: payment.ReturnTo,
	}
	if title, item, ok := p.config.Names(payment.Sale, payment.SKU); ok {
		view.Title, view.Item = title, item
	}
	switch state {
	case open:
		if r.URL.Query().Has(declinedMark) {
			view.State = page.SandboxDeclined
		}
	case paid: // its sync may be on the way; it says so only when it is through
		if err := p.journal.sync(payment.mark); err != nil {
			p.fault(w, err)
			return
		}
		view.State = page.SandboxPaid
	case over:
		view.State = page.SandboxEnded
	}
	document, err := p.config.Render(view, r.Header.Get("Accept-Language"))
	if err != nil {
		p.fault(w, err)
		return
	}
	w.Header().Set("Content-Type", page.ContentType)
	w.Header().Set("Content-Security-Policy", document.Policy)
	w.Header().Set("Content-Length", strconv.Itoa(len(document.Body)))
	_, _ = w.Write(document.Body) // the buyer may be gone: nothing to amend
}

// pay takes the money and leads back to the shop; where none may be taken, to
// the page that says so.
func (p *Provider) pay(w http.ResponseWriter, r *http.Request) {
	payment, state, ok := p.find(w, r)
	if !ok {
		return
	}
	if state == open || payment.Charge != nil { // which may not be on disk yet
		var err error
		if state, err = p.take(payment); err != nil {
			p.fault(w, err)
			return
		}
	}
	if state == paid {
		redirect(w, payment.ReturnTo)
		return
	}
	redirect(w, pagePrefix+r.PathValue("page"))
}

func (p *Provider) decline(w http.ResponseWriter, r *http.Request) {
	payment, state, ok := p.find(w, r)
	if !ok {
		return
	}
	if state == open {
		p.notice(payment.order, typeDeclined)
	}
	redirect(w, pagePrefix+r.PathValue("page")+"?"+declinedMark)
}

func (p *Provider) leave(w http.ResponseWriter, r *http.Request) {
	payment, state, ok := p.find(w, r)
	if !ok {
		return
	}
	if state == open {
		p.notice(payment.order, typeAbandoned)
	}
	redirect(w, payment.ReturnTo)
}

// notice reports an event without money. Nothing hangs on its arrival.
func (p *Provider) notice(order shop.ClaimID, kind string) {
	p.outbox.put(&letter{
		id: "evt_" + p.config.Random(), kind: kind, at: p.config.Now().UTC(), charge: payments.Charge{Order: order},
	})
}

// redirect answers a form: the next page is asked for with GET. The address
// was checked when the payment was started, or is this page's own.
func redirect(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

func (p *Provider) fault(w http.ResponseWriter, err error) {
	p.config.Log.Error("sandbox: the payment page failed", slog.Any("error", err))
	w.Header().Set("Retry-After", "5")
	http.Error(w, "The cashier cannot take payments right now. Try again in a moment.", http.StatusServiceUnavailable)
}
