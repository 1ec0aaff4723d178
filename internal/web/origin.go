package web

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

// preflightMax is how long a browser may remember a preflight: two hours, all
// that browsers grant.
const preflightMax = "7200"

// exposed are the fields that a page's script may read.
const exposed = "Location, Retry-After, Date, Age"

// allowOrigin lets scripts of the shop's own pages read the answer. There are
// no cookies, so credentials are never allowed. Only configured text goes into
// the answer, never what the request says.
func (d *Door) allowOrigin(rc *fasthttp.RequestCtx, origin []byte) {
	if len(d.Options.PageOrigins) == 0 {
		return
	}
	h := &rc.Response.Header
	allowed := "*"
	if d.Options.PageOrigins[0] != "*" {
		h.Set("Vary", "Origin") // whatever this request's is: caches hold it against the next one
		allowed = d.originOf(origin)
	}
	if allowed == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	h.Set("Access-Control-Expose-Headers", exposed)
}

// originOf returns the configured origin that the request comes from.
func (d *Door) originOf(origin []byte) string {
	for _, allowed := range d.Options.PageOrigins {
		if len(origin) > 0 && string(origin) == allowed {
			return allowed
		}
	}
	return ""
}

// options answers OPTIONS, of which a preflight is one.
func (d *Door) options(rc *fasthttp.RequestCtx, to stop) {
	h := &rc.Response.Header
	rc.Response.SetStatusCode(fasthttp.StatusNoContent)
	h.Set("Allow", to.route.methods())
	if len(h.Peek("Access-Control-Allow-Origin")) == 0 {
		return
	}
	h.Set("Access-Control-Allow-Methods", to.route.methods())
	fields := "Authorization, Content-Type, Idempotency-Key, Prefer"
	if shown, ok := d.display(view(to.name)); ok && to.route == toBuy && shown.unproven != nil {
		fields += ", " + proofField
	}
	h.Set("Access-Control-Allow-Headers", fields)
	h.Set("Access-Control-Max-Age", preflightMax)
}

// knowsHost reports whether the server goes by the name in Host.
func (d *Door) knowsHost(host []byte) bool {
	if len(d.Options.Hosts) == 0 {
		return true
	}
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 && bytes.IndexByte(host[colon:], ']') < 0 {
		host = host[:colon] // the port; an IPv6 address ends in a bracket
	}
	for _, name := range d.Options.Hosts {
		if len(host) == len(name) && strings.EqualFold(view(host), name) {
			return true
		}
	}
	return false
}
