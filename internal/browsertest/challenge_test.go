package browsertest

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// provingShows is true while the page tells that it solves a challenge.
const provingShows = `/bot|机器人/.test(result.innerText) && buy.disabled`

// guard makes a sale ask everybody for a solution.
func guard(sale *shop.Sale) { sale.Challenge = shop.ChallengeAlways }

// asks is what so many orders meet that have no good solution.
func asks(orders int) []reply {
	no := reply{status: 403, code: "challenge_required", more: map[string]any{"challenge": "/api/v1/sales/retro-85/challenge"}}
	all := make([]reply, orders)
	for i := range all {
		all[i] = no
	}
	return all
}

// hang lets who asks for a challenge wait.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// easy poses what the first key solves.
func easy(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"signature": "", "parameters": map[string]any{
		"algorithm": "PBKDF2/SHA-256", "cost": 1, "keyLength": 32, "keyPrefix": "", "nonce": "00", "salt": "00",
	}})
}

// referee poses challenges as a node does, and judges what pages sent.
type referee struct {
	challenger gate.Challenger
	task       gate.Task
}

// appoint makes the fake pose what only work solves.
func appoint(t *testing.T, f *fake) *referee {
	t.Helper()
	challenger, err := gate.NewAltcha(gate.NewSecret(bytes.Repeat([]byte("r"), shop.RootKeyMin)), rand.Reader)
	must(t, err)
	r := &referee{challenger: challenger, task: gate.Task{Claim: shop.ClaimID{1}, Now: time.Now()}}
	f.set(func(f *fake) {
		f.script = asks(1)
		f.pose = func(w http.ResponseWriter, _ *http.Request) {
			text, err := challenger.Pose(nil, r.task)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(text)
		}
	})
	return r
}

// judge wants the last order to bear a solution, under the first one's key.
func (r *referee) judge(t *testing.T, f *fake) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	first, last := f.posts[0], f.posts[len(f.posts)-1]
	if first.proof != "" || first.key != last.key || first.token != last.token || len(f.orders) != 1 {
		t.Errorf("asked %+v, then %+v, for %d orders; want one order under one key", first, last, len(f.orders))
	}
	if ok, err := r.challenger.Solved(t.Context(), r.task, []byte(last.proof)); !ok || err != nil {
		t.Errorf("solved: %v, %v; the page sent %q", ok, err, last.proof)
	}
}

func solvesAChallenge(t *testing.T, b *Browser) {
	f := newFake(t, guard)
	r := appoint(t, f)
	win(t, b, f)
	r.judge(t, f)
}

func solvesOverPlainHTTP(t *testing.T, b *Browser) {
	f := newFake(t, guard)
	r := appoint(t, f)
	tab := blank(t, b, Phone())
	_, err := tab.Win(strings.Replace(f.page(), "127.0.0.1", PlainHost, 1))
	must(t, err)
	if eval[bool](t, tab, `isSecureContext || Boolean(crypto.subtle)`) {
		t.Error("the browser takes the page for a secure one: this shows nothing")
	}
	r.judge(t, f)
}

func solvesFromAnotherOrigin(t *testing.T, b *Browser) {
	f := newFake(t, guard)
	r := appoint(t, f)
	folder := t.TempDir()
	must(t, f.pages.Export(folder, f.sale, f.URL))
	file := filepath.Join(folder, "s", f.sale.ID, "index.html")
	html, err := os.ReadFile(file)
	must(t, err)
	own := bytes.Replace(html, []byte("<script defer"), []byte(`<script src="/shop/own.js"></script><script defer`), 1)
	must(t, os.WriteFile(file, own, 0o600))
	cdn := httptest.NewServer(http.StripPrefix("/shop", http.FileServer(http.Dir(folder)))) // below the root
	t.Cleanup(cdn.Close)
	t.Cleanup(cdn.CloseClientConnections)
	f.set(func(f *fake) { f.cors = cdn.URL })
	tab := blank(t, b, Phone())
	_, err = tab.Win(cdn.URL + "/shop/s/retro-85/")
	must(t, err)
	r.judge(t, f)
}

func keepsTheSolution(t *testing.T, b *Browser) {
	f := newFake(t, guard)
	r := appoint(t, f)
	f.set(func(f *fake) {
		f.script = append(f.script, reply{status: 503, code: "overloaded", after: "1"}, f.script[0])
	})
	win(t, b, f)
	r.judge(t, f)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.posts) != 4 || f.posts[1].proof != f.posts[3].proof {
		t.Errorf("%d orders were asked for, want 4, and one solution", len(f.posts))
	}
}

func asksAgainForAChallenge(t *testing.T, b *Browser) {
	f := newFake(t, guard)
	r := appoint(t, f)
	f.set(func(f *fake) {
		pose := f.pose
		f.script = asks(2)
		f.pose = func(w http.ResponseWriter, _ *http.Request) {
			f.set(func(f *fake) { f.pose = pose })
			w.Header().Set("Retry-After", "1")
			problem(w, http.StatusServiceUnavailable, "unavailable", nil)
		}
	})
	win(t, b, f)
	r.judge(t, f)
}

func tellsOfAutomation(t *testing.T, b *Browser) {
	for steered, want := range map[string]map[string]string{
		"true":  {"": "automated", "?opening=k": "opening=k&automated"},
		"false": {"": "", "?opening=k": "opening=k"},
	} {
		for query, want := range want {
			f, asked := newFake(t, guard), make(chan string, 1)
			f.set(func(f *fake) {
				f.script = asks(1)
				f.script[0].more = map[string]any{"challenge": "/api/v1/sales/retro-85/challenge" + query}
				f.pose = func(w http.ResponseWriter, r *http.Request) {
					asked <- r.URL.RawQuery
					easy(w, r)
				}
			})
			tab := blank(t, b, Phone())
			must(t, before(tab, `Object.defineProperty(navigator, "webdriver", { get: () => `+steered+` })`))
			_, err := tab.Win(f.page())
			must(t, err)
			if got := <-asked; got != want {
				t.Errorf("steered %s: asked with %q, want %q", steered, got, want)
			}
		}
	}
}

func letsTheShopSolve(t *testing.T, b *Browser) {
	f := newFake(t, guard)
	appoint(t, f)
	tab := blank(t, b, Desktop())
	must(t, before(tab, `window.doorbuster = { solve: async (challenge) => "solved " + challenge.parameters.algorithm }`))
	_, err := tab.Win(f.page())
	must(t, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := f.posts[1].proof; got != "solved PBKDF2/SHA-256" {
		t.Errorf("the page sent %q, want what the shop's script said", got)
	}
}

func saysThatNobodySolves(t *testing.T, b *Browser) {
	for name, script := range map[string]string{
		"the shop's script fails":          `window.doorbuster = { solve: async () => { throw new Error("no widget") } }`,
		"the shop's script knows nothing":  `window.doorbuster = { solve: () => undefined }`,
		"the challenge is for a script":    ``,
		"the browser gives no workers":     `delete window.Worker`,
		"what the worker is told is wrong": `Worker.prototype.postMessage = ((send) => function () { send.call(this, { salt: 7 }); })(Worker.prototype.postMessage)`,
	} {
		f := newFake(t, guard)
		appoint(t, f)
		if script == "" {
			f.set(func(f *fake) {
				f.pose = func(w http.ResponseWriter, _ *http.Request) {
					answer(w, http.StatusOK, map[string]any{"siteverify": true})
				}
			})
		}
		tab := blank(t, b, Desktop())
		must(t, before(tab, script))
		must(t, tab.Open(f.page()))
		must(t, tab.Until(`!buy.disabled`))
		must(t, tab.Press("#buy"))
		if err := tab.Until(`result.dataset.status === "challenge_required" && /did not work/.test(result.innerText) && !buy.disabled`); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		tab.Close()
	}
}

func loadsNoSolver(t *testing.T, b *Browser) {
	f := newFake(t, guard)
	tab := win(t, b, f)
	if eval[bool](t, tab, `performance.getEntriesByType("resource").some(({name}) => name.includes("challenge-"))`) {
		t.Error("the page loaded what solves challenges, and met none")
	}
}

func solvesForANode(t *testing.T, b *Browser, program string) {
	n := serve(t, program)
	sale := newLaunch(2, 3)
	n.sell(t, sale)
	for i, address := range []string{n.page(), strings.Replace(n.page(), "127.0.0.1", PlainHost, 1)} {
		look := Phone().in([]string{"en-GB", "zh-CN"}[i])
		tab := blank(t, b, look)
		must(t, tab.Open(address))
		must(t, tab.Until(`!buy.disabled`))
		sale.Challenge = "always" // pages that are open already go on
		n.sell(t, sale)
		must(t, tab.Run(`new MutationObserver(() => { if (`+provingShows+`) window.told = true; }).observe(result, { childList: true })`))
		must(t, tab.Press("#buy"))
		id, err := tab.Won()
		must(t, err)
		if !eval[bool](t, tab, `window.told`) {
			t.Error("the page did not tell that it solves something")
		}
		look.judge(t, tab, []string{"node-proved", "node-proved-plain"}[i])
		if orders := n.orders(t); len(orders) != i+1 || orders[i].ID != id {
			t.Errorf("the node has %v, want %s as its order %d", orders, id, i+1)
		}
	}
	n.balanced(t)
}
