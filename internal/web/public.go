package web

import (
	_ "embed"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/page"
)

// What caches may do with an answer that is the same for everybody. Browsers
// get nothing stale: only a CDN may bridge the moment in which it asks anew.
const (
	cacheSecond  = "public, max-age=1"
	cdnSecond    = "public, max-age=1, stale-while-revalidate=5"
	cacheMinute  = "public, max-age=60"
	cacheForGood = "public, max-age=31536000, immutable"
)

//go:embed openapi.json
var openAPI []byte

// sales lists every sale.
func (d *Door) sales(rc *fasthttp.RequestCtx) {
	text := []byte(`{"sales":[`)
	for i, notice := range d.Board.Notices() {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendListed(text, notice)
	}
	d.shared(rc)
	rc.Response.SetBodyRaw(append(text, "]}"...))
}

// sale shows one sale.
func (d *Door) sale(rc *fasthttp.RequestCtx, name []byte) {
	shown, ok := d.display(view(name))
	if !ok {
		d.say(rc, &d.said.noSale)
		return
	}
	d.shared(rc)
	d.tag(rc, shown)
	d.stamped(rc, &shown.sale)
}

// state is what every open page polls.
func (d *Door) state(rc *fasthttp.RequestCtx, name []byte) {
	shown, ok := d.display(view(name))
	if !ok {
		d.say(rc, &d.said.noSale)
		return
	}
	d.Counts.States.Add(1)
	d.looked(rc)
	d.shared(rc)
	d.tag(rc, shown)
	d.stamped(rc, &shown.state)
}

// looked notes who looks at a sale, where that matters.
func (d *Door) looked(rc *fasthttp.RequestCtx) {
	if d.Gate.Suspicion.Watches() {
		d.Gate.Suspicion.LookedAt(d.client(rc), d.Now().UnixNano())
	}
}

// cacheTag is the tag by which a CDN can be told to forget a sale's answers.
const cacheTag = "doorbuster-sale-"

// tag names the sale to a CDN, where the operator wants it.
func (d *Door) tag(rc *fasthttp.RequestCtx, shown *display) {
	if shown.tag != "" {
		rc.Response.Header.Set(d.Options.CacheTagField, shown.tag)
	}
}

func (d *Door) stamped(rc *fasthttp.RequestCtx, text *stamped) {
	rc.Response.SetBody(text.text) // copied: the time goes into the copy
	text.stamp(rc.Response.Body(), d.Now())
}

// shared writes the header of JSON that is the same for everybody.
func (d *Door) shared(rc *fasthttp.RequestCtx) {
	h := &rc.Response.Header
	h.SetContentType(jsonType)
	h.Set("Cache-Control", cacheSecond)
	h.Set("CDN-Cache-Control", cdnSecond)
	h.Set("X-Content-Type-Options", "nosniff")
}

// page serves the buyer page.
func (d *Door) page(rc *fasthttp.RequestCtx, name []byte) {
	shown, ok := d.display(view(name))
	if !ok {
		d.lost(rc, pathOf(rc), &d.said.noSale)
		return
	}
	drawn, err := d.pageOf(shown)
	if err != nil {
		d.refuse(rc, err)
		return
	}
	d.Counts.Pages.Add(1)
	d.looked(rc)
	h := &rc.Response.Header
	h.Set("Cache-Control", cacheMinute)
	h.Set("Vary", "Accept-Encoding")
	d.tag(rc, shown)
	body, tag := drawn.Body, drawn.ETag
	if takesGzip(rc.Request.Header.Peek("Accept-Encoding")) {
		body, tag = drawn.Gzip, drawn.GzipETag
	}
	h.Set("ETag", tag)
	if matches(rc.Request.Header.Peek("If-None-Match"), tag) {
		rc.Response.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	h.SetContentType(page.ContentType)
	h.Set("Content-Security-Policy", drawn.Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if tag == drawn.GzipETag {
		h.SetContentEncoding("gzip")
	}
	rc.Response.SetBodyRaw(body)
}

// asset serves a file whose name bears a hash of what it holds.
func (d *Door) asset(rc *fasthttp.RequestCtx, name []byte) {
	asset, ok := d.Pages.Asset(view(name))
	if !ok {
		d.say(rc, &d.said.notFound)
		return
	}
	h := &rc.Response.Header
	h.SetContentType(asset.ContentType)
	h.Set("Cache-Control", cacheForGood)
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	if len(asset.Gzip) > 0 && takesGzip(rc.Request.Header.Peek("Accept-Encoding")) {
		h.SetContentEncoding("gzip")
		rc.Response.SetBodyRaw(asset.Gzip)
		return
	}
	rc.Response.SetBodyRaw(asset.Body)
}

// openAPI describes this door to programs.
func (d *Door) openAPI(rc *fasthttp.RequestCtx) {
	d.shared(rc)
	rc.Response.SetBodyRaw(openAPI)
}

// live says that the process answers at all.
func (d *Door) live(rc *fasthttp.RequestCtx) { d.health(rc, fasthttp.StatusOK, "ok\n") }

// ready says whether this node should be sent buyers. Why not is told to
// operators only.
func (d *Door) ready(rc *fasthttp.RequestCtx) {
	if !d.Ready() {
		d.health(rc, fasthttp.StatusServiceUnavailable, "not ready\n")
		return
	}
	d.health(rc, fasthttp.StatusOK, "ok\n")
}

func (d *Door) health(rc *fasthttp.RequestCtx, status int, text string) {
	rc.Response.SetStatusCode(status)
	rc.Response.Header.SetContentType("text/plain; charset=utf-8")
	noStore(rc)
	rc.Response.SetBodyString(text)
}
