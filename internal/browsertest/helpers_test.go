package browsertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
)

func start(t *testing.T) *Browser {
	t.Helper()
	browser, err := Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(browser.Close)
	return browser
}

func blank(t *testing.T, b *Browser, look Look) *Tab {
	t.Helper()
	tab, err := b.Tab(look)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tab.Close)
	return tab
}

func open(t *testing.T, b *Browser, address string) *Tab {
	t.Helper()
	tab := blank(t, b, Desktop())
	must(t, tab.Open(address))
	return tab
}

// win opens the fake's page in a tab of its own and buys.
func win(t *testing.T, b *Browser, f *fake) *Tab {
	t.Helper()
	tab := blank(t, b, Desktop())
	_, err := tab.Win(f.page())
	must(t, err)
	return tab
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eval[T any](t *testing.T, tab *Tab, expression string) T {
	t.Helper()
	value, err := Eval[T](tab, expression)
	must(t, err)
	return value
}

// wrongClock sets the buyer's clock two hours ahead.
const wrongClock = `{
	const Real = Date;
	Date = class extends Real {
		constructor(...a) { a.length ? super(...a) : super(Real.now() + 7200e3); }
		static now() { return Real.now() + 7200e3; }
	};
}`

// before runs a script in every page of the tab before its own.
func before(tab *Tab, script string) error {
	return call(tab.ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

func offline(tab *Tab, off bool) error {
	rule := &network.Conditions{Offline: off, DownloadThroughput: -1, UploadThroughput: -1}
	params := network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{rule}}
	return call(tab.ctx, network.EmulateNetworkConditionsByRule, params)
}

// shoot leaves a screenshot where a person can open it.
func shoot(t *testing.T, tab *Tab, name string) {
	t.Helper()
	png, err := tab.Picture()
	must(t, err)
	folder := filepath.Join("..", "..", "screenshots")
	must(t, os.MkdirAll(folder, 0o755))
	must(t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
}
