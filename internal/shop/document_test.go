package shop_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/shop"
)

const small = `{"id":"retro-85","title":"Retro","opens_at":"2026-12-01T10:00:00+08:00",
	"items":[{"sku":"eu-42","title":"EU 42","stock":500,"price":{"amount":12900,"currency":"EUR"}}]}`

func decode(t testing.TB, document string) shop.Sale {
	t.Helper()
	sale, err := shop.DecodeSale([]byte(document))
	if err != nil {
		t.Fatalf("DecodeSale: %v", err)
	}
	return sale
}

func TestASmallDocumentTakesTheDefaults(t *testing.T) {
	want := shop.Sale{
		ID: "retro-85", Title: "Retro", OpensAt: time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC),
		Hold: 10 * time.Minute, LimitPerBuyer: 1, Challenge: "never", Early: "normal",
		Items: []shop.Item{{SKU: "eu-42", Title: "EU 42", Stock: 500, Price: shop.Money{Amount: 12900, Currency: "EUR"}}},
	}
	if diff := cmp.Diff(want, decode(t, small)); diff != "" {
		t.Errorf("sale (-want +got):\n%s", diff)
	}
}

func TestADocumentIsWrittenInOneWay(t *testing.T) {
	got := string(shop.EncodeSale(decode(t, small)))
	want := `{"id":"retro-85","title":"Retro","opens_at":"2026-12-01T02:00:00Z","hold":"10m","limit_per_buyer":1,` +
		`"guests":false,"challenge":"never","early":"normal",` +
		`"items":[{"sku":"eu-42","title":"EU 42","stock":500,"price":{"amount":12900,"currency":"EUR"}}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	document := `{
		"id": "Retro 85", "ID": "x", "titel": "x", "image": "http://shop.example/a.jpg",
		"page_url": "javascript:alert(1)", "sign_in_url": "//evil.example/",
		"opens_at": "tomorrow", "closes_at": "2026-12-01T10:00:00", "hold": "10", "limit_per_buyer": 1.5,
		"guests": "yes", "challenge": "sometimes", "early": null, "hold": "10m",
		"items": [
			{"sku": "eu-42", "title": "EU 42", "stock": -4, "price": {"amount": "129.00", "currency": "eur"}},
			{"sku": "eu-42", "title": "", "stock": 100000001, "price": {"amount": 1, "currency": "EUR", "vat": 19}},
			7
		]}`
	_, err := shop.DecodeSale([]byte(document))
	faults, ok := errors.AsType[shop.Faults](err)
	if !ok {
		t.Fatalf("error is a %T, want shop.Faults: %v", err, err)
	}
	got := map[string]bool{}
	for _, fault := range faults {
		if got[fault.Field] {
			t.Errorf("two faults for %q", fault.Field)
		}
		got[fault.Field] = true
	}
	want := []string{
		"id", "ID", "titel", "title", "image", "page_url", "sign_in_url", "opens_at", "closes_at", "hold",
		"limit_per_buyer", "guests", "challenge", "early", "items[0].stock", "items[0].price.amount",
		"items[0].price.currency", "items[1].sku", "items[1].title", "items[1].stock", "items[1].price.vat", "items[2]",
	}
	for _, field := range want {
		if !got[field] {
			t.Errorf("no fault for %s", field)
		}
		delete(got, field)
	}
	for field := range got {
		t.Errorf("a fault too many: %s", field)
	}
	t.Logf("\n%v", err)
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	change := func(from, to string) string { return strings.Replace(small, from, to, 1) }
	for _, c := range []struct{ name, document, says string }{
		{"nothing", ``, "ends too early"},
		{"a list", `[]`, "not a JSON object"},
		{"half a document", small[:40], "ends too early"},
		{"two documents", small + small, "something follows"},
		{"not UTF-8", change("Retro", "Retr\xff"), "not valid UTF-8"},
		{"too deep", change("12900", `[[1]]`), "nested deeper"},
		{"an id with a capital", change("retro-85", "Retro-85"), "id: "},
		{"an id that begins with a dash", change("retro-85", "-85"), "id: "},
		{"an id of 64 bytes", change("retro-85", strings.Repeat("a", 64)), "id: "},
		{"a title of blanks", change(`"Retro"`, `"  "`), "title: missing"},
		{"a title in two lines", change(`"Retro"`, `"a\nb"`), "title: has a line break"},
		{"a title too long", change(`"Retro"`, `"`+strings.Repeat("é", 201)+`"`), "title: has 201"},
		{"no opening", change("opens_at", "closes_at"), "opens_at: missing"},
		{"a time without zone", change("10:00:00+08:00", "10:00:00"), "opens_at: "},
		{"an hour of one digit", change("T10:", "T1:"), "opens_at: "},
		{"the year 10000 in UTC", change("2026-12-01T10:00:00+08:00", "9999-12-31T23:59:59-10:00"), "opens_at: the year"},
		{"closing before opening", change(`"items"`, `"closes_at":"2026-12-01T02:00:00Z","items"`), "closes_at: "},
		{"an unknown early", change(`"items"`, `"early":"later","items"`), `early: "later" is not known; write normal or strict`},
		{"a hold too short", change(`"items"`, `"hold":"29s","items"`), "hold: 29s; write a duration from 30s to 24h"},
		{"a hold too long", change(`"items"`, `"hold":"24h1s","items"`), "hold: "},
		{"no limit", change(`"items"`, `"limit_per_buyer":0,"items"`), "limit_per_buyer: "},
		{"a limit too high", change(`"items"`, `"limit_per_buyer":1001,"items"`), "limit_per_buyer: "},
		{"no items", change(small[strings.Index(small, `"items"`):], `"items":[]}`), "items: missing"},
		{"no stock", change(`"stock":500,`, ``), "items[0].stock: missing"},
		{"a stock with a fraction", change("500", "500.0"), "items[0].stock: "},
		{"a stock over 64 bits", change("500", "99999999999999999999"), "items[0].stock: "},
		{"no price", change(`,"price":{"amount":12900,"currency":"EUR"}`, ``), "items[0].price.amount: missing"},
		{"a price too high", change("12900", "8796093022209"), "items[0].price.amount: "},
		{"a currency that is none", change("EUR", "EUX"), "items[0].price.currency: "},
		{"letters of two currencies", change("EUR", "EDA"), "items[0].price.currency: "},
		{"a sku with a blank", change("eu-42", "eu 42"), "items[0].sku: "},
		{"a sku in other letters", change("eu-42", "größe"), "items[0].sku: "},
		{"a checkout that does not know what for", change(`"items"`, `"pay_url":"https://shop.example/checkout","items"`), "pay_url: does not say where the order's id goes"},
		{"a checkout that is no address", change(`"items"`, `"pay_url":"checkout?order={order}","items"`), "pay_url: \"checkout"},
		{"a page with a fragment", change(`"items"`, `"page_url":"/drop#x","items"`), "page_url: has a fragment"},
		{"a page with a password", change(`"items"`, `"page_url":"https://a:b@shop.example/","items"`), "page_url: "},
		{"a picture as a path", change(`"items"`, `"image":"/shoe.jpg","items"`), "image: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := shop.DecodeSale([]byte(c.document))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestTheBoundsThemselvesFit(t *testing.T) {
	for _, document := range []string{
		strings.Replace(small, "retro-85", strings.Repeat("9", 63), 1),
		strings.Replace(small, "eu-42", "A_.-"+strings.Repeat("z", 59), 1),
		strings.Replace(small, "12900", "0", 1),
		strings.Replace(small, "12900", "8796093022208", 1),
		strings.Replace(small, `"stock":500`, `"stock":0`, 1),
		strings.Replace(small, `"stock":500`, `"stock":100000000`, 1),
		strings.Replace(small, `"items"`, `"hold":"24h","limit_per_buyer":1000,"page_url":"http://shop.example/a?b=c","items"`, 1),
		strings.Replace(small, `"items"`, `"hold":"30s","sign_in_url":"/in?back=%2Fs","image":"https://shop.example/a.jpg","items"`, 1),
	} {
		decode(t, document)
	}
}

func TestAThousandFaultsAreNotAllTold(t *testing.T) {
	items := strings.Repeat(`{},`, 999) + `{}`
	_, err := shop.DecodeSale([]byte(`{"items":[` + items + `]}`))
	faults, _ := errors.AsType[shop.Faults](err)
	if len(faults) != 101 || !strings.Contains(faults[100].Wrong, "more") {
		t.Errorf("%d faults, the last %v; want 100 and how many more", len(faults), faults[len(faults)-1])
	}
}

func drawSale(t *rapid.T) shop.Sale {
	moment := rapid.Map(rapid.Int64Range(0, 253370764800000), func(ms int64) time.Time { return time.UnixMilli(ms).UTC() })
	sale := shop.Sale{
		ID:      rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,62}`).Draw(t, "id"),
		Title:   rapid.StringMatching(`[^\pC\pZ]{1,40}`).Draw(t, "title"),
		OpensAt: moment.Draw(t, "opens"), Hold: time.Duration(rapid.Int64Range(int64(shop.HoldMin), int64(shop.HoldMax)).Draw(t, "hold")),
		LimitPerBuyer: rapid.Int64Range(1, shop.LimitMax).Draw(t, "limit"), Guests: rapid.Bool().Draw(t, "guests"),
		Challenge: "never", Early: "normal",
	}
	if rapid.Bool().Draw(t, "closes") {
		sale.ClosesAt = sale.OpensAt.Add(time.Hour)
	}
	skus := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9_.-]{0,62}`), 1, 5, rapid.ID).Draw(t, "skus")
	for _, sku := range skus {
		sale.Items = append(sale.Items, shop.Item{
			SKU: sku, Title: sku, Stock: rapid.Int64Range(0, shop.StockMax).Draw(t, "stock"),
			Price: shop.Money{
				Amount:   rapid.Int64Range(0, shop.AmountMax).Draw(t, "amount"),
				Currency: rapid.SampledFrom([]string{"EUR", "JPY", "ZWG"}).Draw(t, "currency"),
			},
		})
	}
	return sale
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sale := drawSale(t)
		read, err := shop.DecodeSale(shop.EncodeSale(sale))
		if err != nil {
			t.Fatalf("DecodeSale: %v", err)
		}
		if diff := cmp.Diff(sale, read); diff != "" {
			t.Fatalf("sale (-written +read):\n%s", diff)
		}
	})
}

func TestAStoredSaleIsReadWithoutBeingJudged(t *testing.T) {
	sale := decode(t, small)
	sale.Hold, sale.LimitPerBuyer = time.Second, 5000
	read, err := shop.LoadSale(shop.EncodeSale(sale))
	if err != nil {
		t.Fatalf("LoadSale: %v", err)
	}
	if diff := cmp.Diff(sale, read); diff != "" {
		t.Errorf("sale (-stored +read):\n%s", diff)
	}
}

func TestASaleOfANewerVersionIsReadWithoutWhatIsNew(t *testing.T) {
	want, err := shop.DecodeSale([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.NewReplacer(`"id"`, `"queue":{"kind":"fair"},"id"`, `"sku"`, `"weight":3,"sku"`, `"amount"`, `"vat":19,"amount"`).Replace(small)
	got, err := shop.LoadSale([]byte(newer))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if _, err := shop.DecodeSale([]byte(newer)); err == nil {
		t.Error("what is published may have unknown fields")
	}
}

func FuzzDecodeSale(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"id":"a","ID":"b","items":[{"sku":null}]}`))
	for _, name := range []string{"testdata/full.json"} {
		document, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sale, err := shop.DecodeSale(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if err := sale.Check(); err != nil {
			t.Errorf("decoded, but Check says %v", err)
		}
		written := shop.EncodeSale(sale)
		if !json.Valid(written) {
			t.Errorf("not JSON: %s", written)
		}
		again, err := shop.DecodeSale(written)
		if err != nil {
			t.Fatalf("its encoding is refused: %v", err)
		}
		if diff := cmp.Diff(sale, again); diff != "" {
			t.Errorf("sale (-read +read again):\n%s", diff)
		}
	})
}
