package admin

import (
	"maps"
	"net/http"
	"net/http/pprof"
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
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		// They show what is in memory. From this machine, too: a proxy on it need not say for whom it asks.
		open.Handle(pattern, d.withToken(d.choose(methods{http.MethodGet: handler, http.MethodPost: handler})))
	}
	open.HandleFunc("/", d.nowhere)
	return d.logPanics(d.plainPaths(open))
}

// logPanics tells of a request's panic and cuts its connection: half of the answer
// may have been sent. The server itself would tell of it among its small talk.
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

// withToken lets through who bears the operators' token. Whatever is wrong,
// the answer is the same.
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
