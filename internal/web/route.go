package web

import (
	"bytes"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/gate"
)

// route is where a path leads.
type route uint8

const (
	nowhere     route = iota
	toSales           // /api/v1/sales
	toSale            // /api/v1/sales/{sale}
	toBuy             // /api/v1/sales/{sale}/orders
	toChallenge       // /api/v1/sales/{sale}/challenge
	toOrders          // /api/v1/orders
	toOrder           // /api/v1/orders/{id}
	toCancel          // /api/v1/orders/{id}/cancel
	toPayment         // /api/v1/orders/{id}/payment
	toGuests          // /api/v1/guests
	toOpenAPI         // /api/openapi.json
	toPage            // /s/{sale}
	toState           // /s/{sale}/state.json
	toAsset           // /assets/{name}
	toLive            // /livez
	toReady           // /readyz, /healthz
)

// find compares the path as it came. Nothing is decoded, cleaned or guessed:
// every name in it is made of plain characters, so what would need that leads
// nowhere.
func find(path []byte) (to route, name []byte) {
	if rest, ok := bytes.CutPrefix(path, []byte("/api/v1/")); ok {
		return findInAPI(rest)
	}
	if rest, ok := bytes.CutPrefix(path, []byte("/s/")); ok {
		return findNamed(rest, toPage, toState, "state.json")
	}
	if name, ok := bytes.CutPrefix(path, []byte("/assets/")); ok {
		return toAsset, name
	}
	switch string(path) {
	case "/api/openapi.json":
		return toOpenAPI, nil
	case "/livez":
		return toLive, nil
	case "/readyz", "/healthz":
		return toReady, nil
	}
	return nowhere, nil
}

func findInAPI(path []byte) (to route, name []byte) {
	if rest, ok := bytes.CutPrefix(path, []byte("sales/")); ok {
		if to, name := findNamed(rest, toSale, toBuy, "orders"); to != nowhere {
			return to, name
		}
		return findNamed(rest, nowhere, toChallenge, "challenge")
	}
	if rest, ok := bytes.CutPrefix(path, []byte("orders/")); ok {
		if to, name := findNamed(rest, toOrder, toCancel, "cancel"); to != nowhere {
			return to, name
		}
		return findNamed(rest, nowhere, toPayment, "payment")
	}
	switch string(path) {
	case "sales":
		return toSales, nil
	case "orders":
		return toOrders, nil
	case "guests":
		return toGuests, nil
	}
	return nowhere, nil
}

// findNamed reads {name}, which leads to one, or {name}/part, which leads to
// partOf.
func findNamed(rest []byte, one, partOf route, part string) (route, []byte) {
	name, tail, more := bytes.Cut(rest, []byte("/"))
	switch {
	case len(name) == 0:
		return nowhere, nil
	case !more:
		return one, name
	case string(tail) == part:
		return partOf, name
	}
	return nowhere, nil
}

// String is the route's path, the same for every request that leads there.
func (r route) String() string {
	return [...]string{
		nowhere: "", toSales: "/api/v1/sales", toSale: "/api/v1/sales/{sale}", toBuy: "/api/v1/sales/{sale}/orders",
		toChallenge: "/api/v1/sales/{sale}/challenge",
		toOrders:    "/api/v1/orders", toOrder: "/api/v1/orders/{id}", toCancel: "/api/v1/orders/{id}/cancel",
		toPayment: "/api/v1/orders/{id}/payment", toGuests: "/api/v1/guests", toOpenAPI: "/api/openapi.json",
		toPage: "/s/{sale}", toState: "/s/{sale}/state.json", toAsset: "/assets/{name}", toLive: "/livez", toReady: "/readyz",
	}[r]
}

// allows reports whether the route knows the method. HEAD goes wherever GET
// does.
func (r route) allows(method []byte) bool {
	if r.posts() {
		return string(method) == http.MethodPost
	}
	return string(method) == http.MethodGet || string(method) == http.MethodHead
}

// methods is what the Allow header lists.
func (r route) methods() string {
	if r.posts() {
		return "POST, OPTIONS"
	}
	return "GET, HEAD, OPTIONS"
}

func (r route) posts() bool {
	return r == toBuy || r == toCancel || r == toPayment || r == toGuests
}

// limited reports whether the address limit stands before everything else. It
// does for the API; an order is looked at by its sale's notice first, and what
// is the same for everybody is cheaper to give than to count.
func (r route) limited() bool { return r >= toSales && r <= toGuests && r != toBuy }

// ask is what the limits take a request for.
func (r route) ask() gate.Ask {
	switch r {
	case toBuy:
		return gate.AskOrder
	case toGuests:
		return gate.AskGuest
	default:
		return gate.AskRead
	}
}

// crossOrigin reports whether pages of other origins may read the answer.
func (r route) crossOrigin() bool { return r >= toSales && r <= toGuests || r == toState }

// pathOf returns the path of the target as it came, without the query.
func pathOf(rc *fasthttp.RequestCtx) []byte {
	path, _, _ := bytes.Cut(rc.Request.Header.RequestURI(), []byte("?"))
	return path
}
