package page

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func sneakers() shop.Sale {
	return shop.Sale{
		ID: "retro-85", Title: "Retro High ’85", Description: "Rebuilt from the first last.",
		OpensAt: time.Date(2026, 12, 1, 10, 0, 0, 0, time.FixedZone("", 8*3600)),
		Hold:    10 * time.Minute, LimitPerBuyer: 1,
		Items: []shop.Item{
			{SKU: "eu-42", Title: "EU 42", Stock: 500, Price: shop.Money{Amount: 12900, Currency: "EUR"}},
			{SKU: "eu-43", Title: "EU 43", Stock: 500, Price: shop.Money{Amount: 12900, Currency: "EUR"}},
		},
	}
}

func newPages(t *testing.T) *Pages {
	t.Helper()
	pages, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func render(t *testing.T, sale shop.Sale) Document {
	t.Helper()
	document, err := newPages(t).Render(sale)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestThePageSaysWhatIsSoldWhenAndForHowMuch(t *testing.T) {
	body := string(render(t, sneakers()).Body)
	for _, fact := range []string{
		"<h1>Retro High ’85</h1>", "Rebuilt from the first last.", "EU 43", "129.00 EUR",
		"Tuesday, 1 December 2026, 02:00 UTC (10:00 &#43;08:00)", `datetime="2026-12-01T10:00:00&#43;08:00"`,
		`id="countdown"`, `id="buy"`, `id="result"`, `aria-live="polite"`, "<noscript>", `lang="zh-Hans"`,
	} {
		if !strings.Contains(body, fact) {
			t.Errorf("the page lacks %s", fact)
		}
	}
}

// sizeMax is the contract's: what a phone loads before it can buy.
const sizeMax = 15_000

func TestThePageIsSmall(t *testing.T) {
	pages := newPages(t)
	total := len(render(t, sneakers()).Gzip)
	t.Logf("%6d page", total)
	for _, name := range pages.AssetNames() {
		if strings.HasPrefix(name, "buyer-") {
			asset, _ := pages.Asset(name)
			t.Logf("%6d %s", len(asset.Gzip), name)
			total += len(asset.Gzip)
		}
	}
	if total >= sizeMax {
		t.Errorf("page, style and script are %d bytes in gzip, want less than %d", total, sizeMax)
	}
	t.Logf("%6d of %d", total, sizeMax)
}

func TestEveryAssetOfThePageIsThere(t *testing.T) {
	pages := newPages(t)
	document := render(t, sneakers())
	found := regexp.MustCompile(`"/assets/([^"]+)"`).FindAllSubmatch(document.Body, -1)
	if len(found) != 2 {
		t.Fatalf("the page names %d assets, want a style and a script", len(found))
	}
	for _, match := range found {
		asset, ok := pages.Asset(string(match[1]))
		if !ok || len(asset.Body) == 0 || asset.ContentType == "" {
			t.Errorf("asset %s is not to be had", match[1])
		}
	}
	if _, ok := pages.Asset("../page.go"); ok {
		t.Error("a name that is no asset's was served")
	}
}

// Pages stay open for hours, and an operator may ask for challenges meanwhile.
func TestEveryPageKnowsWhatSolvesChallenges(t *testing.T) {
	pages := newPages(t)
	var script []byte
	for _, name := range pages.AssetNames() {
		if strings.HasPrefix(name, "buyer-") && strings.HasSuffix(name, ".js") {
			asset, _ := pages.Asset(name)
			script = asset.Body
		}
	}
	named := regexp.MustCompile(`"\./(challenge-[A-Z0-9]+\.js)"`).FindSubmatch(script)
	if named == nil {
		t.Fatal("the page's script loads nothing that solves challenges")
	}
	if solver, ok := pages.Asset(string(named[1])); !ok || len(solver.Body) == 0 {
		t.Errorf("asset %s is not to be had", named[1])
	}
}

func TestGzipHoldsTheSamePage(t *testing.T) {
	document := render(t, sneakers())
	r, err := gzip.NewReader(bytes.NewReader(document.Gzip))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body, document.Body) {
		t.Error("the compressed page is another one")
	}
}

func TestTheETagChangesWithThePageAlone(t *testing.T) {
	first, again := render(t, sneakers()), render(t, sneakers())
	if first.ETag != again.ETag || first.GzipETag != again.GzipETag {
		t.Error("one sale has two ETags")
	}
	changed := sneakers()
	changed.Title = "Another"
	if other := render(t, changed); other.ETag == first.ETag {
		t.Error("two pages have one ETag")
	}
	if first.ETag == first.GzipETag {
		t.Error("two encodings have one ETag")
	}
}

func TestAShopsTextCannotBecomeMarkup(t *testing.T) {
	for _, evil := range []string{
		`</script><script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `<!--`, "</h1><svg/onload=alert(1)>",
		`{{.}}`, "'-alert(1)-'", " ",
	} {
		sale := sneakers()
		sale.Title, sale.Description, sale.SignInURL, sale.Image = evil, evil, evil, "https://x.example/"+evil
		sale.Items[0].Title = evil
		body := string(render(t, sale).Body)
		if got := strings.Count(body, "<script"); got != 2 {
			t.Errorf("%q makes %d scripts, want 2", evil, got)
		}
		if strings.Contains(body, evil) && strings.ContainsAny(evil, "<\"") {
			t.Errorf("%q stands in the page as it is", evil)
		}
	}
}

func FuzzAShopsTextCannotBecomeMarkup(f *testing.F) {
	pages, err := New()
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"Retro High ’85", "</script><script>", `"><img onerror=1>`, "<!--", "\u2028", "javascript:alert(1)", "{{.}}"} {
		f.Add(text)
	}
	plain, err := pages.Render(sneakers())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sale := sneakers()
		sale.Title, sale.Description, sale.SignInURL, sale.Items[0].Title = text, text, text, text
		document, err := pages.Render(sale)
		if err != nil {
			t.Fatal(err)
		}
		for _, mark := range []string{"<script", "</", "<img", "<!"} {
			want, got := bytes.Count(plain.Body, []byte(mark)), bytes.Count(document.Body, []byte(mark))
			if text == "" {
				want -= bytes.Count([]byte("</p>"), []byte(mark)) // no description, no paragraph
			}
			if got != want {
				t.Errorf("%q makes %d of %s, want %d", text, got, mark, want)
			}
		}
	})
}

func TestAPictureOfTheShopTakesThePlaceOfThePoster(t *testing.T) {
	sale := sneakers()
	if body := render(t, sale).Body; !bytes.Contains(body, []byte(`preserveAspectRatio`)) {
		t.Error("a sale without a picture has no poster")
	}
	sale.Image = "https://cdn.example/shoe.avif"
	body := render(t, sale).Body
	if !bytes.Contains(body, []byte(`<img src="https://cdn.example/shoe.avif" alt="Retro High ’85"`)) || bytes.Contains(body, []byte("preserveAspectRatio")) {
		t.Error("the shop's picture is not the page's")
	}
}

func TestAmountsAreWrittenInTheCurrencysOwnDigits(t *testing.T) {
	for want, money := range map[string]shop.Money{
		"129.00 EUR": {Amount: 12900, Currency: "EUR"},
		"0.05 USD":   {Amount: 5, Currency: "USD"},
		"12900 JPY":  {Amount: 12900, Currency: "JPY"},
		"12.900 KWD": {Amount: 12900, Currency: "KWD"},
		"Free":       {Amount: 0, Currency: "EUR"},
	} {
		if got := PlainMoney(money); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAnExportedFolderStandsAlone(t *testing.T) {
	pages := newPages(t)
	folder := t.TempDir()
	for range 2 { // a second export overwrites the first
		if err := pages.Export(folder, sneakers(), "https://buy.example"); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(filepath.Join(folder, "s", "retro-85", "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"api":"https://buy.example"`, `connect-src &#39;self&#39; https://buy.example;`} {
		if !bytes.Contains(body, []byte(part)) {
			t.Errorf("the exported page lacks %s", part)
		}
	}
	for _, match := range regexp.MustCompile(`"(\.\./\.\./assets/[^"]+)"`).FindAllSubmatch(body, -1) {
		if _, err := os.Stat(filepath.Join(folder, "s", "retro-85", string(match[1]))); err != nil {
			t.Error(err)
		}
	}
	assets, err := os.ReadDir(filepath.Join(folder, "assets"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, asset := range assets {
		names = append(names, asset.Name())
	}
	if diff := cmp.Diff(pages.AssetNames(), names); diff != "" {
		t.Errorf("exported assets (-want +got)\n%s", diff)
	}
}

func TestAnExportSaysWhatIsWrong(t *testing.T) {
	pages := newPages(t)
	for _, origin := range []string{"buy.example", "https://buy.example/", "https://buy.example/api", "ftp://buy.example", "https://", "https://a;script-src *"} {
		err := pages.Export(t.TempDir(), sneakers(), origin)
		if err == nil || !strings.Contains(err.Error(), "https://shop.example") {
			t.Errorf("API origin %q: got %v, want an error that shows a good one", origin, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := pages.Export(file, sneakers(), ""); err == nil || !strings.Contains(err.Error(), "retro-85") {
		t.Errorf("export into a file: got %v, want an error that names the sale", err)
	}
}

func TestThePolicyLetsNothingElseIn(t *testing.T) {
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; connect-src 'self'; worker-src 'self'; child-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	if got := render(t, sneakers()).Policy; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
