package admin

import (
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// api is the prefix of everything that needs the token.
const api = "/admin/api/v1"

// methods serves one address: a handler per method, HEAD where there is GET.
type methods map[string]http.HandlerFunc

// Handler returns every address of the door.
func (d *Door) Handler() http.Handler {
	guarded, open := http.NewServeMux(), http.NewServeMux()
	for pattern, by := range map[string]methods{
		"/sales":               {http.MethodGet: d.listSales},
		"/sales/{sale}":        {http.MethodGet: d.showSale, http.MethodPut: d.putSale},
		"/sales/{sale}/{verb}": {http.MethodPost: d.moveSale},
		"/sales/{sale}/orders": {http.MethodGet: d.listOrders},
		"/sales/{sale}/audit":  {http.MethodGet: d.auditSale},
		"/lists":               {http.MethodGet: d.listLists},
		"/suspects":            {http.MethodGet: d.listSuspects},
		"/lists/{list}":        {http.MethodPut: d.putEntry, http.MethodDelete: d.deleteEntry},
		"/orders/{id}":         {http.MethodGet: d.showOrder},
		"/orders/{id}/paid":    {http.MethodPost: d.reportPaid},
		"/orders/{id}/cancel":  {http.MethodPost: d.cancelOrder},
		"/orders/{id}/refunded": {
			http.MethodPost: d.reportRefunded,
		},
	} {
		guarded.HandleFunc(api+pattern, d.choose(by))
	}
	guarded.HandleFunc("/", d.nowhere)

	open.Handle("/admin", d.withToken(guarded)) // else it would lead on to the next
	open.Handle("/admin/", d.withToken(guarded))
	for pattern, handler := range map[string]http.HandlerFunc{
		"/livez": d.livez, "/readyz": d.readyz, "/healthz": d.healthz, "/metrics": d.Metrics.ServeHTTP,
	} {
		open.HandleFunc(pattern, d.choose(methods{http.MethodGet: handler}))
	}
	for pattern, handler := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/profile": pprof.Profile, "/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		open.Handle(pattern, d.nearOrToken(d.choose(methods{http.MethodGet: handler, http.MethodPost: handler})))
	}
	// An address with a password may be among what the program was started with.
	open.Handle("/debug/pprof/cmdline", d.withToken(d.choose(methods{http.MethodGet: pprof.Cmdline})))
	open.HandleFunc("/", d.nowhere)
	return d.logPanics(d.plainPaths(open))
}

// logPanics logs a request's panic and cuts its connection: half of the answer
// may have been sent. The server itself would log it among things of no
// importance.
func (d *Door) logPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			d.Log.Error("an operator's request panicked", "route", r.Pattern, "panic", fault, "stack", string(debug.Stack()))
			panic(http.ErrAbortHandler) //nolint:forbidigo // the server's own way to cut a connection, and to add no line
		}()
		next.ServeHTTP(w, r)
	})
}

// choose finds the method's handler, or says which methods there are.
func (d *Door) choose(by methods) http.HandlerFunc {
	names := slices.Sorted(maps.Keys(by))
	if _, ok := by[http.MethodGet]; ok {
		names = append(names, http.MethodHead)
	}
	allow := strings.Join(names, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		handler, ok := by[method]
		if !ok {
			w.Header().Set("Allow", allow)
			refuse(w, shop.Refusal{Code: shop.MethodNotAllowed, Detail: "Use " + allow + " here."})
			return
		}
		handler(w, r)
	}
}

// plainPaths refuses paths that would be cleaned, instead of leading
// elsewhere, and tells browsers to guess and keep nothing.
func (d *Door) plainPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		clean := path.Clean(r.URL.Path)
		if r.URL.Path != clean && r.URL.Path != clean+"/" {
			d.nowhere(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d *Door) nowhere(w http.ResponseWriter, _ *http.Request) {
	refuse(w, shop.Refusal{Code: shop.NotFound, Detail: "There is nothing at this address."})
}

// withToken lets a request through that bears the operators' token. Whatever is
// wrong, the answer is the same.
func (d *Door) withToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.hasToken(r) {
			d.noteRefused(r)
			w.Header().Set("WWW-Authenticate", `Bearer realm="doorbuster"`)
			refuse(w, shop.Refusal{Code: shop.Unauthorized, Detail: "Send the operators' token: Authorization: Bearer …"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d *Door) hasToken(r *http.Request) bool {
	const scheme = "bearer "
	given := r.Header.Get("Authorization")
	return len(given) > len(scheme) && strings.EqualFold(given[:len(scheme)], scheme) &&
		d.Token.Equal([]byte(given[len(scheme):]))
}

// nearOrToken guards profiles, which show what is in memory: they are for
// somebody who sits at this machine or bears the token.
func (d *Door) nearOrToken(next http.Handler) http.Handler {
	guarded := d.withToken(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if near(r) {
			next.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// forwards are the header fields that show that a request was passed on by a
// proxy, or made by a web page.
var forwards = []string{ //nolint:gochecknoglobals // a constant, if Go had such
	"Via", "Forwarded", "X-Real-Ip", "X-Client-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "Origin", "Referer", "Cookie",
}

// near reports whether the request was made on this machine and for it: a
// proxy forwards for others, and a web page may have bent a name to 127.0.0.1. A
// proxy that speaks HTTP/1.1 and names neither itself nor others cannot be told
// from somebody who sits here: docs/operations.md says what to set.
func near(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || !r.ProtoAtLeast(1, 1) { // nginx asks in 1.0 unless told
		return false
	}
	for name := range r.Header {
		if slices.Contains(forwards, name) || strings.HasPrefix(name, "X-Forwarded-") {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || (err == nil && addr.IsLoopback())
}
