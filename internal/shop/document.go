package shop

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// Defaults of a sale document, from the public contract.
const (
	holdDefault      = 10 * time.Minute
	limitDefault     = 1
	challengeDefault = ChallengeNever
	earlyDefault     = "normal"
)

// Document is a sale as it is written in JSON: the order of the fields is the
// order in which people read them.
type Document struct {
	ID            string         `json:"id"`
	Title         string         `json:"title"`
	Description   string         `json:"description,omitempty"`
	Image         string         `json:"image,omitempty"`
	PageURL       string         `json:"page_url,omitempty"`
	PayURL        string         `json:"pay_url,omitempty"`
	SignInURL     string         `json:"sign_in_url,omitempty"`
	OpensAt       string         `json:"opens_at,omitempty"`
	ClosesAt      string         `json:"closes_at,omitempty"`
	Hold          string         `json:"hold"`
	LimitPerBuyer int64          `json:"limit_per_buyer"`
	Guests        bool           `json:"guests"`
	Challenge     string         `json:"challenge,omitempty"`
	Early         string         `json:"early,omitempty"`
	Items         []ItemDocument `json:"items"`
}

// ItemDocument is an item as it is written.
type ItemDocument struct {
	SKU   string        `json:"sku"`
	Title string        `json:"title"`
	Stock int64         `json:"stock"`
	Price MoneyDocument `json:"price"`
}

// MoneyDocument is a price as it is written.
type MoneyDocument struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// DecodeSale reads a sale document and checks it. The error holds every fault
// at once (Faults), unless data is not a JSON object at all.
func DecodeSale(data []byte) (Sale, error) {
	sale, faults, err := readSale(data, false)
	if err != nil {
		return Sale{}, err
	}
	faults.merge(sale.faults())
	return sale, faults.err()
}

// LoadSale reads what EncodeSale wrote, without judging it: a sale that was
// published stays readable when the bounds of new ones change, and by versions
// that do not know all its fields.
func LoadSale(data []byte) (Sale, error) {
	sale, faults, err := readSale(data, true)
	if err != nil {
		return Sale{}, err
	}
	return sale, faults.err()
}

// EncodeSale writes the sale as canonical JSON: two sales are equal exactly
// where their encodings are.
func EncodeSale(sale Sale) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(DocumentOf(sale)) // strings, integers and a buffer: nothing to go wrong
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// DocumentOf returns the sale as it is written.
func DocumentOf(sale Sale) Document {
	doc := Document{
		ID: sale.ID, Title: sale.Title, Description: sale.Description, Image: sale.Image,
		PageURL: sale.PageURL, PayURL: sale.PayURL, SignInURL: sale.SignInURL,
		OpensAt: momentText(sale.OpensAt), ClosesAt: momentText(sale.ClosesAt),
		Hold: SpanText(sale.Hold), LimitPerBuyer: sale.LimitPerBuyer, Guests: sale.Guests,
		Challenge: sale.Challenge, Early: sale.Early,
		Items: make([]ItemDocument, 0, len(sale.Items)),
	}
	for _, item := range sale.Items {
		doc.Items = append(doc.Items, ItemDocument{item.SKU, item.Title, item.Stock, MoneyDocument(item.Price)})
	}
	return doc
}

// readSale takes a document apart; what its values may be is not asked here.
// loose passes over fields that are not known.
func readSale(data []byte, loose bool) (Sale, Faults, error) {
	object, faults, err := readTree(data)
	if err != nil {
		return Sale{}, nil, err
	}
	f := newForm("", object, &faults)
	f.loose = loose
	sale := Sale{
		ID:            f.text("id", ""),
		Title:         f.text("title", ""),
		Description:   f.text("description", ""),
		Image:         f.text("image", ""),
		PageURL:       f.text("page_url", ""),
		PayURL:        f.text("pay_url", ""),
		SignInURL:     f.text("sign_in_url", ""),
		OpensAt:       f.moment("opens_at"),
		ClosesAt:      f.moment("closes_at"),
		Hold:          f.span("hold", holdDefault),
		LimitPerBuyer: f.whole("limit_per_buyer", limitDefault),
		Guests:        f.flag("guests"),
		Challenge:     f.text("challenge", challengeDefault),
		Early:         f.text("early", earlyDefault),
	}
	for i, value := range f.list("items") {
		sale.Items = append(sale.Items, readItem(f.formOf(element("items", i), value, true)))
	}
	f.end()
	return sale, faults, nil
}

func readItem(f *form) Item {
	item := Item{SKU: f.text("sku", ""), Title: f.text("title", ""), Stock: f.whole("stock", missing)}
	price := f.object("price")
	item.Price = Money{Amount: price.whole("amount", missing), Currency: price.text("currency", "")}
	price.end()
	f.end()
	return item
}

// missing stands for a number that a document must name and does not.
const missing = -1

// momentText writes a time in UTC, with milliseconds where it has them; the
// zero time is no time.
func momentText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// SpanText writes a span as a sale document does: 10m, not 10m0s.
func SpanText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
