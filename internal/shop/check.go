package shop

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Check returns every fault of the sale at once (Faults), or nil.
func (s *Sale) Check() error { return s.faults().err() }

func (s *Sale) faults() Faults {
	var f Faults
	if !ValidSaleID(s.ID) {
		f.add("id", "%s; write 1 to %d of a-z, 0-9 and -, beginning with a letter or digit, such as retro-85", shown(s.ID), idMax)
	}
	f.title("title", s.Title)
	f.description(s.Description)
	f.address("image", s.Image, false)
	f.address("page_url", s.PageURL, true)
	if strings.Contains(s.PageURL, "#") {
		f.add("page_url", "has a fragment (#…); leave it out, the order is named there")
	}
	f.address("pay_url", s.PayURL, true)
	if s.PayURL != "" && !strings.Contains(s.PayURL, PayOrder) {
		f.add("pay_url", "does not say where the order's id goes; write %s there, such as in https://shop.example/checkout?order=%s", PayOrder, PayOrder)
	}
	f.address("sign_in_url", s.SignInURL, true)
	f.times(s.OpensAt, s.ClosesAt)
	if s.Hold < HoldMin || s.Hold > HoldMax {
		f.add("hold", "%s; write a duration from %s to %s, such as 10m", SpanText(s.Hold), SpanText(HoldMin), SpanText(HoldMax))
	}
	if s.LimitPerBuyer < 1 || s.LimitPerBuyer > LimitMax {
		f.add("limit_per_buyer", "%d; write a whole number from 1 to %d", s.LimitPerBuyer, LimitMax)
	}
	f.challenge(s.Challenge)
	if s.Early != earlyDefault && s.Early != EarlyStrict {
		f.add("early", "%q is not known; write %s or %s", s.Early, earlyDefault, EarlyStrict)
	}
	f.items(s.Items)
	return f
}

// ValidSaleID reports whether id can name a sale: [a-z0-9][a-z0-9-]{0,62}.
func ValidSaleID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return id != "" && len(id) <= idMax
}

// ValidSKU reports whether sku can name an item: [A-Za-z0-9][A-Za-z0-9_.-]{0,62}.
func ValidSKU(sku string) bool {
	for i := range len(sku) {
		c := sku[i]
		letter := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
		if !letter && (i == 0 || (c != '_' && c != '.' && c != '-')) {
			return false
		}
	}
	return sku != "" && len(sku) <= idMax
}

func (f *Faults) title(field, text string) {
	switch {
	case strings.TrimSpace(text) == "":
		f.add(field, "missing; write what buyers read, up to %d characters", textMax)
	case utf8.RuneCountInString(text) > textMax:
		f.add(field, "has %d characters; write at most %d", utf8.RuneCountInString(text), textMax)
	case !printable(text):
		f.add(field, "has a line break or control character; write one line of plain text")
	}
}

func (f *Faults) description(text string) {
	if n := utf8.RuneCountInString(text); n > longMax {
		f.add("description", "has %d characters; write at most %d", n, longMax)
	}
	if !printable(strings.NewReplacer("\n", "", "\t", "").Replace(text)) {
		f.add("description", "has a control character; write plain text, line breaks allowed")
	}
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// address checks a URL that ends up in the buyer page. Whatever is not http
// could run as a script there.
func (f *Faults) address(field, address string, link bool) {
	if address == "" {
		return
	}
	instead := "write an https address, such as https://shop.example/shoe.jpg"
	if link {
		instead = "write an address such as https://shop.example/drop, or a path such as /drop"
	}
	if field == "pay_url" {
		instead = "write an address such as https://shop.example/checkout?order=" + PayOrder + ", or a path such as /checkout?order=" + PayOrder
	}
	if len(address) > addressMax {
		f.add(field, "has %d bytes; write at most %d", len(address), addressMax)
		return
	}
	parsed, err := url.Parse(address)
	bad := strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == '\\' || r == '"' || r == '<' || r == '>' || r == 0x7f })
	switch {
	case err != nil || bad || parsed.User != nil || parsed.Opaque != "":
	case parsed.Host != "" && (parsed.Scheme == "https" || (link && parsed.Scheme == "http")):
		return
	case link && parsed.Scheme == "" && parsed.Host == "" && strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "//"):
		return
	}
	f.add(field, "%q is no such address; %s", address, instead)
}

func (f *Faults) times(opens, closes time.Time) {
	const example = "write a time with its zone, such as 2026-12-01T10:00:00+08:00"
	switch {
	case opens.IsZero():
		f.add("opens_at", "missing; %s", example)
	case !inCalendar(opens):
		f.add("opens_at", "the year %d; %s", opens.UTC().Year(), example)
	}
	switch {
	case closes.IsZero():
	case !inCalendar(closes):
		f.add("closes_at", "the year %d; %s", closes.UTC().Year(), example)
	case !closes.After(opens):
		f.add("closes_at", "%s is not after opens_at (%s); write a later time, or leave it out to close by hand", momentText(closes), momentText(opens))
	}
}

// inCalendar reports whether a time can be stored and written as RFC 3339.
func inCalendar(t time.Time) bool { return t.UnixMilli() >= 0 && t.UTC().Year() <= 9999 }

func (f *Faults) challenge(value string) {
	switch value {
	case ChallengeNever, ChallengeSuspicious, ChallengeAlways:
	default:
		f.add("challenge", "%q is not known; write %s, %s or %s", value, ChallengeNever, ChallengeSuspicious, ChallengeAlways)
	}
}

func (f *Faults) items(items []Item) {
	if len(items) == 0 {
		f.add("items", "missing; write at least one item with sku, title, stock and price")
	}
	if len(items) > ItemsMax {
		f.add("items", "has %d items; write at most %d", len(items), ItemsMax)
		return
	}
	first := make(map[string]int, len(items))
	for i, item := range items {
		at := element("items", i)
		f.item(at, item)
		if before, twice := first[item.SKU]; twice && item.SKU != "" {
			f.add(at+".sku", "%q is items[%d] already; write each sku once", item.SKU, before)
			continue
		}
		first[item.SKU] = i
	}
}

func (f *Faults) item(at string, item Item) {
	if !ValidSKU(item.SKU) {
		f.add(at+".sku", "%s; write 1 to %d of A-Z, a-z, 0-9, _, . and -, beginning with a letter or digit, such as eu-42", shown(item.SKU), idMax)
	}
	f.title(at+".title", item.Title)
	if item.Stock < 0 || item.Stock > StockMax {
		f.add(at+".stock", "%s; write a whole number of units from 0 to %d", number(item.Stock), StockMax)
	}
	if item.Price.Amount < 0 || item.Price.Amount > AmountMax {
		f.add(at+".price.amount", "%s; write minor units (12900 is 129.00) from 0 to %d", number(item.Price.Amount), int64(AmountMax))
	}
	if !ValidCurrency(item.Price.Currency) {
		f.add(at+".price.currency", "%s; write an ISO 4217 code in capitals, such as EUR", shown(item.Price.Currency))
	}
}

func shown(text string) string {
	if text == "" {
		return "missing"
	}
	return fmt.Sprintf("%q does not fit", text)
}

func number(n int64) string {
	if n == missing {
		return "missing or negative"
	}
	return fmt.Sprintf("%d does not fit", n)
}

// BrokenBy returns each reason why publishing next in the place of s would
// break a promise already made; none where it breaks none. opened says that
// the sale has been open, given how many units of each SKU are held or sold.
func (s *Sale) BrokenBy(next *Sale, opened bool, given map[string]int64) []string {
	var reasons []string
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if next.ID != s.ID {
		add("id: %q cannot become %q; publish it as a sale of its own", s.ID, next.ID)
	}
	for _, sku := range slices.Sorted(maps.Keys(given)) {
		item, _ := next.Item(sku)
		if item.Stock < given[sku] {
			add("stock of %s: %d units are held or sold; write %d or more", sku, given[sku], given[sku])
		}
	}
	if !opened {
		return reasons
	}
	if !next.OpensAt.Equal(s.OpensAt) {
		add("opens_at: the sale has been open; keep %s", momentText(s.OpensAt))
	}
	for _, item := range s.Items {
		kept, ok := next.Item(item.SKU)
		switch {
		case !ok:
			add("items: %s cannot be removed once the sale has been open; keep it, with less stock if need be", item.SKU)
		case kept.Price != item.Price:
			add("price of %s: the sale has been open; keep %d %s", item.SKU, item.Price.Amount, item.Price.Currency)
		}
	}
	return reasons
}
