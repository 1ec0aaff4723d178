package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// Serve answers buyers who come through the listener, until ctx ends. Then it
// accepts nobody any more, closes idle connections, finishes what is in flight
// within Options.DrainMax, and returns nil; what is not finished by then is
// cut off, and an error says so.
func (d *Door) Serve(ctx context.Context, listener net.Listener) error {
	d.prepare()
	work, cutOff := context.WithCancel(context.WithoutCancel(ctx)) // what is in flight outlives ctx
	defer cutOff()
	server := d.server(work)
	served := make(chan error, 1)
	go func() { served <- server.Serve(d.hall(listener)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve buyers: %w", errors.Join(err, errors.New("the listener is gone")))
	case <-ctx.Done():
	}
	// Buyers who still wait for a decision near the end hear "pending".
	lastWords := time.AfterFunc(d.Options.DrainMax-min(lastWordsMax, d.Options.DrainMax/2), cutOff)
	defer lastWords.Stop()
	bound, done := context.WithTimeout(context.WithoutCancel(work), d.Options.DrainMax)
	defer done()
	if err := server.ShutdownWithContext(bound); err != nil {
		return fmt.Errorf("drain the buyers' door: %w", err)
	}
	_ = listener.Close() // a shutdown that overtakes Serve knows of no listener
	if err := <-served; err != nil {
		return fmt.Errorf("serve buyers: %w", err)
	}
	return nil
}

// lastWordsMax is how long before the end of a drain waits are cut short.
const lastWordsMax = 2 * time.Second

// prepare fills in the bounds and writes what can be written before anybody
// asks.
func (d *Door) prepare() {
	fallback := func(bound *int, usual int) {
		if *bound == 0 {
			*bound = usual
		}
	}
	fallback(&d.Options.ConnsMax, ConnsMax)
	fallback(&d.Options.ConnsPerAddressMax, ConnsPerAddressMax)
	if d.Pressure == nil {
		d.Pressure = gate.NewPressure(gate.OrdersMax)
	}
	if d.Options.DrainMax == 0 {
		d.Options.DrainMax = drainMax
	}
	if slices.Contains(d.Options.PageOrigins, "*") {
		d.Options.PageOrigins = []string{"*"}
	}
	d.answers.New = func() any { return new([]byte) }
	d.places = placesOf()
	d.said = d.writeAll()
	d.origins = d.writeOrigins()
	d.turned = d.scriptTurned()
	d.showcase.windows.Store(&map[string]*window{})
}

// server is the HTTP machine. Deadlines and places are the connections' own
// business (conn, hall).
func (d *Door) server(work context.Context) *fasthttp.Server {
	d.mounted = d.mount(work)
	return &fasthttp.Server{
		Handler:                      func(rc *fasthttp.RequestCtx) { d.handle(work, rc); forget(rc) },
		ErrorHandler:                 d.fault,
		Concurrency:                  d.Options.ConnsMax + 1, // the hall counts
		ReadBufferSize:               headMax,
		MaxRequestBodySize:           bodyMax,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       silence{}, // what strangers send fills no log; Counts has it
	}
}

// forget ends what the connection remembered for one request.
func forget(rc *fasthttp.RequestCtx) {
	if c, ok := rc.Conn().(*conn); ok {
		c.forget()
	}
}

// silence drops what the server would log.
type silence struct{}

// Printf implements fasthttp.Logger.
func (silence) Printf(string, ...any) {}

func (d *Door) hall(listener net.Listener) *hall {
	full := shop.Refusal{Code: shop.Overloaded, Detail: "Too many connections; try again.", RetryAfter: askAgain}
	crowded := shop.Refusal{Code: shop.TooManyRequests, Detail: "Too many connections from your address.", RetryAfter: askAgain}
	return newHall(listener, d, wholeAnswer(&full), wholeAnswer(&crowded))
}

// wholeAnswer is an answer down to its last byte, for connections that never
// reach the server.
func wholeAnswer(no *shop.Refusal) []byte {
	status, body := wire.Status(no.Code), wire.AppendRefusal(nil, no)
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"+
		"Retry-After: %.0f\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), wire.ProblemType, len(body), no.RetryAfter.Seconds(), body)
}

// mount makes the handlers off the buyers' road ready, longest path first. They
// outlive the beginning of a drain, as everything in flight does.
func (d *Door) mount(work context.Context) []mount {
	var mounted []mount
	for path, handler := range d.Mounts {
		outlive := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r.WithContext(work)) })
		mounted = append(mounted, mount{prefix: []byte(path), handler: fasthttpadaptor.NewFastHTTPHandler(outlive)})
	}
	slices.SortFunc(mounted, func(a, b mount) int { return len(b.prefix) - len(a.prefix) })
	return mounted
}

// mount is a handler off the buyers' road.
type mount struct {
	prefix  []byte
	handler fasthttp.RequestHandler
}

// takes reports whether the handler serves the path: all below a prefix that
// ends in a slash, else the prefix alone.
func (m *mount) takes(path []byte) bool {
	below, ok := bytes.CutPrefix(path, m.prefix)
	return ok && (len(below) == 0 || m.prefix[len(m.prefix)-1] == '/')
}

// elsewhere leads to what is mounted, or nowhere.
func (d *Door) elsewhere(rc *fasthttp.RequestCtx) {
	path := pathOf(rc)
	for i := range d.mounted {
		if !d.mounted[i].takes(path) || !isPlain(path) {
			continue
		}
		d.mounted[i].handler(rc)
		if len(rc.Response.Header.Peek("Cache-Control")) == 0 {
			noStore(rc)
		}
		return
	}
	d.lost(rc, path, &d.said.notFound)
}

// lost says no where nothing is: to a person, who followed a link or typed an
// address, with a page.
func (d *Door) lost(rc *fasthttp.RequestCtx, path []byte, no *refusal) {
	header := &rc.Request.Header
	if !rc.IsGet() && !rc.IsHead() || !strings.Contains(view(header.Peek("Accept")), "text/html") || strings.HasPrefix(view(path), "/api/") {
		d.say(rc, no)
		return
	}
	no.count.Add(1)
	d.head(rc, no.status, no.retryAfter)
	shown := d.Pages.Lost(view(header.Peek("Accept-Language")))
	h := &rc.Response.Header
	h.SetContentType(page.ContentType)
	h.Set("Content-Security-Policy", shown.Policy)
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	rc.Response.SetBodyRaw(shown.Body)
}

// isPlain reports whether a path means what it says: no encoding, no steps up,
// no empty steps.
func isPlain(path []byte) bool {
	text := view(path)
	return !strings.Contains(text, "%") && !strings.Contains(text, "//") && !strings.Contains(text, "/.")
}
