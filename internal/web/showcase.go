package web

import (
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// showcase keeps what buyers see of each sale as it goes over the wire. It is
// written when a notice is asked about for the first time, not per request.
type showcase struct {
	windows   atomic.Pointer[map[string]*window] // by sale
	opening   sync.Mutex                         // new windows only
	suspended atomic.Pointer[refusal]            // what the board's suspension says
}

// window shows one sale.
type window struct {
	shown      atomic.Pointer[display]
	difficulty gate.Difficulty // of its challenges
	dressing   sync.Mutex
}

// display is one notice as it goes over the wire. It never changes, but for
// its page, which is drawn when it is first asked for.
type display struct {
	notice *gate.Notice
	sale   stamped
	state  stamped
	no     *refusal // what every new order meets; nil: there is hope
	// unproven is what an order meets whose challenge was not solved; nil: the
	// sale has none.
	unproven   *refusal
	difficulty *gate.Difficulty
	items      map[string]*refusal // the same for single items
	pass       string              // the opening key that a new order has to bear; empty: none
	tag        string              // of its sale, for a CDN; empty: none is wanted
	page       atomic.Pointer[page.Document]

	refusalScript, stateScript *script // nil: only the handlers can answer
	itemScripts                map[string]*script
}

// stamped is JSON that bears the time at which it is sent.
type stamped struct {
	text []byte
	at   int // where the time stands in text
}

// moment is a time as long as all times are on the wire.
const moment = "2006-01-02T15:04:05.000Z"

// stamp writes the time into a copy of the text.
func (s *stamped) stamp(copied []byte, now time.Time) { wire.AppendMoment(copied[s.at:s.at], now) }

// display returns what is shown of a sale, and false for an unknown one.
func (d *Door) display(sale string) (*display, bool) {
	notice, ok := d.Board.Notice(sale)
	if !ok {
		return nil, false
	}
	w, ok := (*d.showcase.windows.Load())[sale]
	if !ok {
		w = d.openWindow(notice.Sale.ID)
	}
	if shown := w.shown.Load(); shown != nil && shown.notice == notice {
		return shown, true
	}
	return d.dress(w, notice.Sale.ID), true
}

// openWindow makes the window of a sale. Only sales have one, so operators
// bound them, not strangers.
func (d *Door) openWindow(sale string) *window {
	d.showcase.opening.Lock()
	defer d.showcase.opening.Unlock()
	windows := *d.showcase.windows.Load()
	if w, ok := windows[sale]; ok {
		return w
	}
	next := maps.Clone(windows)
	next[sale] = &window{}
	d.showcase.windows.Store(&next)
	return next[sale]
}

// dress puts the newest notice into the window.
func (d *Door) dress(w *window, sale string) *display {
	w.dressing.Lock()
	defer w.dressing.Unlock()
	notice, _ := d.Board.Notice(sale) // again: of two who dress, the later one must not show the older
	old := w.shown.Load()
	if old != nil && old.notice == notice {
		return old
	}
	fresh := d.redraw(old, notice)
	fresh.difficulty = &w.difficulty
	w.shown.Store(fresh)
	return fresh
}

// redraw draws a notice in the place of an old one. While a sale sells, most
// notices look like the one before: only what differs is written anew.
func (d *Door) redraw(old *display, notice *gate.Notice) *display {
	if old == nil || !sameSale(&old.notice.Sale, &notice.Sale) {
		return d.draw(notice)
	}
	var fresh *display
	if sameShow(old.notice, notice) {
		fresh = &display{
			notice: notice, sale: old.sale, state: old.state, no: old.no, items: old.items,
			pass: old.pass, tag: old.tag, unproven: old.unproven,
			refusalScript: old.refusalScript, stateScript: old.stateScript, itemScripts: old.itemScripts,
		}
	} else {
		fresh = d.draw(notice)
	}
	fresh.page.Store(old.page.Load())
	return fresh
}

// sameShow reports whether two notices of one document look the same to every
// buyer.
func sameShow(a, b *gate.Notice) bool {
	return a.Phase == b.Phase && sameNo(a.No, b.No) && slices.EqualFunc(a.Items, b.Items, func(a, b gate.ItemNotice) bool {
		return a.State == b.State && sameNo(a.No, b.No)
	})
}

// sameNo passes over AsOf: what was true then is true still.
func sameNo(a, b *shop.Refusal) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Code == b.Code && a.Detail == b.Detail && a.RetryAfter == b.RetryAfter && a.MayReturn == b.MayReturn &&
		a.Order == b.Order && slices.Equal(a.Orders, b.Orders)
}

// sameSale reports whether two notices are of the same document. Mostly they
// share it, and nothing has to be compared.
func sameSale(a, b *shop.Sale) bool {
	x, y := *a, *b
	if len(x.Items) == len(y.Items) && (len(x.Items) == 0 || &x.Items[0] == &y.Items[0]) {
		x.Items, y.Items = nil, nil
	}
	return reflect.DeepEqual(x, y)
}

func (d *Door) draw(notice *gate.Notice) *display {
	pass := d.passOf(notice)
	shown := &display{
		notice: notice, sale: drawSale(notice), state: drawState(notice, pass), pass: pass,
		items: map[string]*refusal{}, itemScripts: map[string]*script{},
	}
	if notice.No != nil {
		no := d.write(notice.No)
		shown.no = &no
	}
	if d.Options.CacheTagField != "" {
		shown.tag = cacheTag + notice.Sale.ID
	}
	if notice.Sale.HasChallenge() {
		no := d.writeUnproven(notice.Sale.ID, pass)
		shown.unproven = &no
	}
	shown.refusalScript, shown.stateScript = d.scriptRefusal(shown.no), d.scriptState(shown)
	for i := range notice.Items {
		if item := &notice.Items[i]; item.No != nil {
			no := d.write(item.No)
			shown.items[item.SKU] = &no
			if script := d.scriptRefusal(&no); script != nil {
				shown.itemScripts[item.SKU] = script
			}
		}
	}
	return shown
}

// suspension returns what every new order meets while the machine cannot sell,
// or nil.
func (d *Door) suspension() *refusal {
	no := d.Board.Suspended()
	if no == nil {
		return nil
	}
	written := d.showcase.suspended.Load()
	if written == nil || written.of != no {
		fresh := d.write(no)
		written = &fresh
		d.showcase.suspended.Store(written)
	}
	return written
}

// pageOf returns the buyer page of the sale.
func (d *Door) pageOf(shown *display) (*page.Document, error) {
	if drawn := shown.page.Load(); drawn != nil {
		return drawn, nil
	}
	drawn, err := d.Pages.Render(shown.notice.Sale)
	if err != nil {
		return nil, err
	}
	shown.page.Store(&drawn)
	return &drawn, nil
}

// passOf returns the opening key of a strict sale that sells. It is derived
// when the board says that the sale has opened, not before.
func (d *Door) passOf(notice *gate.Notice) string {
	if notice.Sale.Early != shop.EarlyStrict || notice.Phase == shop.Scheduled || notice.Phase == shop.Closed {
		return ""
	}
	return d.Desk.Hasher.Opening(&notice.Sale)
}

// drawState writes what the page polls.
func drawState(notice *gate.Notice, pass string) stamped {
	s := begin()
	s.text = appendTimes(s.text, notice)
	if pass != "" {
		s.text = appendMember(s.text, "opening_key", pass)
	}
	s.text = append(s.text, `,"items":[`...)
	for i := range notice.Items {
		if i > 0 {
			s.text = append(s.text, ',')
		}
		s.text = append(s.text, `{"sku":`...)
		s.text = wire.AppendString(s.text, notice.Items[i].SKU)
		s.text = appendMember(s.text, "state", notice.Items[i].State.String())
		if no := notice.Items[i].No; no != nil && no.Code == shop.SoldOut && !no.MayReturn {
			s.text = appendTruth(s.text, "final", true) // nobody need wait for what may come back
		}
		s.text = append(s.text, '}')
	}
	s.text = append(s.text, "]}"...)
	return s
}

// drawSale writes what buyers may know of a sale: no number of units.
func drawSale(notice *gate.Notice) stamped {
	sale := &notice.Sale
	s := begin()
	s.text = appendMember(s.text, "id", sale.ID)
	s.text = appendMember(s.text, "title", sale.Title)
	s.text = appendMember(s.text, "description", sale.Description)
	s.text = appendMember(s.text, "image", sale.Image)
	s.text = appendMember(s.text, "page_url", sale.PageURL)
	s.text = appendMember(s.text, "sign_in_url", sale.SignInURL)
	s.text = appendTimes(s.text, notice)
	s.text = appendMember(s.text, "hold", shop.SpanText(sale.Hold))
	s.text = appendNumber(s.text, "limit_per_buyer", sale.LimitPerBuyer)
	s.text = appendTruth(s.text, "guests", sale.Guests)
	s.text = append(s.text, `,"items":[`...)
	for i := range notice.Items {
		if i > 0 {
			s.text = append(s.text, ',')
		}
		s.text = appendItem(s.text, &sale.Items[i], notice.Items[i].State)
	}
	s.text = append(s.text, "]}"...)
	return s
}

// begin opens an object whose first member is the time of sending.
func begin() stamped {
	text := []byte(`{"server_time":"`)
	return stamped{at: len(text), text: append(text, moment+`"`...)}
}
