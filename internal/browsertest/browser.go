// Package browsertest walks the buyer page in a real browser.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to come to what a test waits for, on a
// machine that does much else.
const patience = 30 * time.Second

// PlainHost is this machine under a name that browsers do not trust as they
// trust localhost: over plain HTTP they withhold what needs a secure page.
const PlainHost = "shop.test"

// Browser is one running chromium. Every tab is a person with storage of his
// own.
type Browser struct {
	ctx   context.Context //nolint:containedctx // chromedp keeps a browser in its context
	close context.CancelFunc
}

// Look is how a tab appears: window, colours and language.
type Look struct {
	Name          string
	Width, Height int64
	Dark          bool
	Still         bool   // prefers reduced motion
	Language      string // en-GB, zh-CN, …
}

// Phone and Desktop are the two sizes that every state is looked at in.
func Phone() Look { return Look{Name: "phone", Width: 360, Height: 780, Language: "en-GB"} }

// Desktop is a laptop's window.
func Desktop() Look { return Look{Name: "desktop", Width: 1280, Height: 800, Language: "en-GB"} }

// Start runs chromium until Close. dir is an empty folder for its profile.
func Start(ctx context.Context, dir string) (*Browser, error) {
	path, err := findChromium()
	if err != nil {
		return nil, err
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(dir), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("host-resolver-rules", "MAP "+PlainHost+" 127.0.0.1"),
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	browser, stopBrowser := chromedp.NewContext(allocator)
	b := &Browser{ctx: browser, close: func() { stopBrowser(); stopAllocator() }}
	if err := chromedp.Do(browser); err != nil {
		b.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return b, nil
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no chromium on the PATH: run `make deps`")
}

// Close ends the browser.
func (b *Browser) Close() { b.close() }

// Tab is one person's window.
type Tab struct {
	ctx   context.Context //nolint:containedctx // chromedp keeps a tab in its context
	close context.CancelFunc
}

// Tab opens an empty tab with a look, in a browser context of its own.
func (b *Browser) Tab(look Look) (*Tab, error) {
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	tab := &Tab{ctx: ctx, close: cancel}
	if err := tab.look(look); err != nil {
		tab.Close()
		return nil, fmt.Errorf("open a tab: %w", err)
	}
	return tab, nil
}

// Sibling opens another tab of the same person, with the same storage.
func (t *Tab) Sibling() (*Tab, error) {
	ctx, cancel := chromedp.NewContext(t.ctx)
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("open a second tab: %w", err)
	}
	return &Tab{ctx: ctx, close: cancel}, nil
}

func (t *Tab) look(look Look) error {
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if look.Still {
		features = append(features, &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"})
	}
	return errors.Join(
		call(t.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: look.Width, Height: look.Height, DeviceScaleFactor: 1, Mobile: look.Width < 600,
		}),
		call(t.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64) Chrome", AcceptLanguage: look.Language,
		}),
		call(t.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"}),
		call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}),
	)
}

func call[P, R any](ctx context.Context, command cdp.Command[P, R], params P) error {
	_, err := chromedp.Call(ctx, command, params)
	return err
}

// Close closes the tab and forgets its storage.
func (t *Tab) Close() { t.close() }

// Do runs chromedp's steps within the page's patience.
func (t *Tab) Do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// Open navigates to an address.
func (t *Tab) Open(address string) error {
	if err := t.Do(chromedp.Navigate(address)); err != nil {
		return fmt.Errorf("open %s: %w", address, err)
	}
	return nil
}

// Eval returns the value of an expression; of a promise, the value that it
// resolves to.
func Eval[T any](t *Tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return value, fmt.Errorf("evaluate %.80s: %w", expression, err)
	}
	return value, nil
}

// Run runs a script whose value does not matter.
func (t *Tab) Run(script string) error {
	_, err := Eval[chromedp.Void](t, script)
	return err
}

// Until waits for an expression to become true; where it does not, the error
// says what the page showed.
func (t *Tab) Until(expression string) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	look := time.NewTicker(40 * time.Millisecond)
	defer look.Stop()
	for {
		// Not chromedp.Poll: it evaluates text in the page, which the policy forbids.
		yes, err := Eval[bool](t, "Boolean("+expression+")")
		if err == nil && yes {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			shown, _ := Eval[string](t, `document.body.innerText`)
			return errors.Join(fmt.Errorf("waited %s for %s; the page shows:\n%s", patience, expression, shown), err)
		}
	}
}

// Press clicks on an element as a mouse does.
func (t *Tab) Press(selector string) error {
	if err := t.Do(chromedp.Click(chromedp.CSS(selector))); err != nil {
		return fmt.Errorf("press %s: %w", selector, err)
	}
	return nil
}

// Status waits for the result's data-status.
func (t *Tab) Status(want string) error {
	return t.Until(fmt.Sprintf(`(document.querySelector("#result").dataset.status || "") === %q`, want))
}

// Picture returns a screenshot of what the window shows.
func (t *Tab) Picture() ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}
