package page

import (
	"html/template"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// place is where a page lives: what leads to its assets and to its API.
type place struct {
	assets     string // address before an asset's name
	apiOrigin  string // empty: the page's own
	metaPolicy string // for pages that no door of ours serves
}

// quantityMax is how many units the page offers at once; a longer list helps
// nobody, and the API takes more.
const quantityMax = 50

// view is what the buyer page's template sees.
type view struct {
	Sale       shop.Sale
	Assets     string
	MetaPolicy string
	Summary    string
	OnePrice   string // where every item costs the same
	Items      []viewItem
	Quantities []int64 // to choose from; none where one unit is all
	OpensAt    string
	OpensText  string
	Art        template.HTML
	Facts      facts
}

type viewItem struct {
	SKU, Title, Price string
}

// facts are what the page's script must know before it hears a state.
type facts struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	API       string `json:"api"`
	OpensAt   string `json:"opens_at"`
	Hold      int64  `json:"hold"` // seconds
	Limit     int64  `json:"limit"`
	Guests    bool   `json:"guests"`
	SignInURL string `json:"sign_in_url"`
	Items     []fact `json:"items"`
}

type fact struct {
	SKU      string `json:"sku"`
	Title    string `json:"title"`
	Amount   int64  `json:"amount"` // minor units
	Currency string `json:"currency"`
	Digits   int    `json:"digits"` // of the minor unit
}

func newView(sale shop.Sale, at place) view {
	v := view{
		Sale: sale, Assets: at.assets, MetaPolicy: at.metaPolicy,
		Summary:   summary(sale),
		OpensAt:   sale.OpensAt.Format(time.RFC3339),
		OpensText: opensText(sale.OpensAt),
		Art:       art(sale.ID),
		Facts: facts{
			ID: sale.ID, Title: sale.Title, API: at.apiOrigin,
			OpensAt: sale.OpensAt.UTC().Format(time.RFC3339),
			Hold:    int64(sale.Hold / time.Second), Limit: sale.LimitPerBuyer,
			Guests: sale.Guests, SignInURL: sale.SignInURL,
		},
	}
	if sale.LimitPerBuyer > 1 {
		for n := range min(sale.LimitPerBuyer, quantityMax) {
			v.Quantities = append(v.Quantities, n+1)
		}
	}
	same := true
	for _, item := range sale.Items {
		same = same && item.Price == sale.Items[0].Price
		v.Items = append(v.Items, viewItem{SKU: item.SKU, Title: item.Title, Price: PlainMoney(item.Price)})
		v.Facts.Items = append(v.Facts.Items, fact{
			SKU: item.SKU, Title: item.Title, Amount: item.Price.Amount,
			Currency: item.Price.Currency, Digits: minorDigits(item.Price.Currency),
		})
	}
	if same && len(v.Items) > 0 {
		v.OnePrice = v.Items[0].Price
	}
	return v
}

// opensText writes the opening in UTC and, where it was given in another zone,
// in that one too.
func opensText(at time.Time) string {
	text := at.UTC().Format("Monday, 2 January 2006, 15:04 UTC")
	if _, offset := at.Zone(); offset != 0 {
		text += at.Format(" (15:04 -07:00)")
	}
	return text
}

// summary is what search engines and link previews show.
func summary(sale shop.Sale) string {
	if sale.Description != "" {
		first, _, _ := strings.Cut(sale.Description, "\n")
		return first
	}
	return sale.Title + ": " + opensText(sale.OpensAt)
}
