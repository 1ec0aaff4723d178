package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// Figures is how units are spread over the ledger's accounts.
type Figures struct {
	Total     int64 `json:"total"`
	Pool      int64 `json:"pool"`
	Granted   int64 `json:"granted"`
	Held      int64 `json:"held"`
	Sold      int64 `json:"sold"`
	Withdrawn int64 `json:"withdrawn"`
}

// Item is an item as published with its figures.
type Item struct {
	shop.ItemDocument
	Figures
}

// Sale is a sale as published with its phase and figures.
type Sale struct {
	shop.Document
	Phase string `json:"phase"`
	AsOf  int64  `json:"as_of"`
	Items []Item `json:"items"` // stands in the place of Document's

	// Of PUT alone.
	Publication string   `json:"publication,omitempty"` // created, changed or unchanged
	Warnings    []string `json:"warnings,omitempty"`    // what an operator should know although the sale stands
}

// publication is what PUT did with a sale, and what there is to say of it.
func (d *Door) publication(did ledger.Published, sent, stands shop.Sale) (outcome string, warnings []string) {
	switch did {
	case ledger.Created:
		outcome = "created"
	case ledger.Changed:
		outcome = "changed"
	case ledger.Same:
		outcome = "unchanged"
		if !bytes.Equal(shop.EncodeSale(sent), shop.EncodeSale(stands)) {
			warnings = append(warnings, "this document was published before, and another one after it: the sale is not as it says; to go back, publish it with some difference, such as in its description")
		}
	}
	if d.Warn != nil {
		warnings = append(warnings, d.Warn(&stands, did)...)
	}
	return outcome, warnings
}

// Summary is one sale of the list, with the figures of all its items.
type Summary struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Phase    string `json:"phase"`
	OpensAt  string `json:"opens_at"`
	ClosesAt string `json:"closes_at,omitempty"`
	Figures
}

// Listing is the answer of GET /sales.
type Listing struct {
	Sales []Summary `json:"sales"`
}

// Invariant is one line of an audit.
type Invariant struct {
	ID     string `json:"id"`
	Holds  bool   `json:"holds"`
	Detail string `json:"detail"`
}

// Audit is the answer of GET /sales/{sale}/audit.
type Audit struct {
	OK         bool        `json:"ok"`
	Invariants []Invariant `json:"invariants"`
}

func figures(b ledger.Balance) Figures {
	return Figures{b.Total, b.Pool, b.Granted, b.Held, b.Sold, b.Withdrawn}
}

func (f Figures) plus(b ledger.Balance) Figures {
	return Figures{
		f.Total + b.Total, f.Pool + b.Pool, f.Granted + b.Granted,
		f.Held + b.Held, f.Sold + b.Sold, f.Withdrawn + b.Withdrawn,
	}
}

func (d *Door) listSales(w http.ResponseWriter, r *http.Request) {
	listings, err := d.Sales.Sales(r.Context())
	if err != nil {
		d.fail(w, r, err)
		return
	}
	answer := Listing{Sales: make([]Summary, 0, len(listings))}
	for _, listing := range listings {
		stand, err := d.Supply.Stand(r.Context(), listing.Sale.ID)
		if err != nil {
			d.fail(w, r, err)
			return
		}
		doc := shop.DocumentOf(listing.Sale)
		summary := Summary{ID: doc.ID, Title: doc.Title, Phase: listing.Phase.String(), OpensAt: doc.OpensAt, ClosesAt: doc.ClosesAt}
		for _, balance := range stand.Items {
			summary.Figures = summary.plus(balance)
		}
		answer.Sales = append(answer.Sales, summary)
	}
	d.say(w, http.StatusOK, answer)
}

func (d *Door) showSale(w http.ResponseWriter, r *http.Request) {
	d.saySale(w, r, http.StatusOK, nil)
}

// saySale answers with the sale that the path names, as it now is; tell, unless
// nil, adds to that.
func (d *Door) saySale(w http.ResponseWriter, r *http.Request, status int, tell func(*Sale, shop.Sale)) {
	listing, err := d.find(r.Context(), r.PathValue("sale"))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	stand, err := d.Supply.Stand(r.Context(), listing.Sale.ID)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	answer := Sale{Document: shop.DocumentOf(listing.Sale), Phase: listing.Phase.String(), AsOf: stand.AsOf}
	if tell != nil {
		tell(&answer, listing.Sale)
	}
	for _, item := range answer.Document.Items {
		answer.Items = append(answer.Items, Item{item, figures(stand.Items[item.SKU])})
	}
	d.say(w, status, answer)
}

func (d *Door) find(ctx context.Context, id string) (ledger.Listing, error) {
	listings, err := d.Sales.Sales(ctx)
	if err != nil {
		return ledger.Listing{}, err
	}
	for _, listing := range listings {
		if listing.Sale.ID == id {
			return listing, nil
		}
	}
	return ledger.Listing{}, ledger.ErrNotFound
}

func (d *Door) putSale(w http.ResponseWriter, r *http.Request) {
	data, ok := body(w, r, shop.DocumentMax)
	if !ok {
		return
	}
	sale, err := shop.DecodeSale(data)
	if err != nil {
		notASale(w, err)
		return
	}
	if id := r.PathValue("sale"); sale.ID != id {
		notASale(w, fmt.Errorf("id: %q is not the name in the path, %q; write the same in both", sale.ID, id))
		return
	}
	published, err := d.Publisher(r.Context(), sale)
	if broken, ok := errors.AsType[*ledger.Broken](err); ok {
		promise(w, broken.Reasons...)
		return
	}
	if errors.Is(err, ledger.ErrShort) {
		promise(w, "stock: more units would be withdrawn than are free at this moment; write a higher stock, or try again in a few seconds")
		return
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	status := http.StatusOK
	if published != ledger.Same {
		d.note("publish", sale.ID)
	}
	if published == ledger.Created {
		w.Header().Set("Location", api+"/sales/"+sale.ID)
		status = http.StatusCreated
	}
	d.saySale(w, r, status, func(answer *Sale, stands shop.Sale) {
		answer.Publication, answer.Warnings = d.publication(published, sale, stands)
	})
}

func (d *Door) moveSale(w http.ResponseWriter, r *http.Request) {
	verb := shop.Verb(r.PathValue("verb"))
	switch verb {
	case shop.VerbOpen, shop.VerbPause, shop.VerbResume, shop.VerbClose:
	default:
		d.nowhere(w, r)
		return
	}
	id := r.PathValue("sale")
	_, err := d.Sales.Move(r.Context(), id, verb)
	if broken, ok := errors.AsType[*ledger.Broken](err); ok {
		p := wire.ProblemOf(&shop.Refusal{Code: shop.WrongStatus, Detail: "The sale stands as it was; reasons says why."})
		p.Title, p.Reasons = "The sale's phase does not allow this", broken.Reasons
		problem(w, p)
		return
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.note(string(verb), id)
	d.Changed(id)
	d.saySale(w, r, http.StatusOK, nil)
}

func (d *Door) auditSale(w http.ResponseWriter, r *http.Request) {
	unhurried(http.NewResponseController(w))
	results, err := d.Audit(r.Context(), r.PathValue("sale"))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	answer := Audit{OK: true, Invariants: make([]Invariant, 0, len(results))}
	for _, result := range results {
		holds := result.State == audit.Holds
		answer.OK = answer.OK && holds
		answer.Invariants = append(answer.Invariants, Invariant{result.ID, holds, result.Detail})
	}
	d.say(w, http.StatusOK, answer)
}
