package web

import (
	"fmt"

	"github.com/valyala/fasthttp"
)

// budgets tells what is left of the limits, with an order or when there were too
// many requests.
func (d *Door) budgets(rc *fasthttp.RequestCtx, to route) {
	status := rc.Response.StatusCode()
	ordered := to == toBuy && status < fasthttp.StatusMultipleChoices
	if !to.limited() && to != toBuy || !ordered && status != fasthttp.StatusTooManyRequests {
		return
	}
	now, buyer := d.Now().UnixNano(), ""
	if to == toBuy { // other calls have no limit by buyer
		if who, err := d.Gate.Tokens.Bearer(rc.Request.Header.Peek("Authorization"), now); err == nil {
			buyer = who.Buyer
		}
	}
	var policy, left []byte
	for i, b := range d.Gate.Budgets(to.ask(), d.client(rc), buyer, now) {
		if i > 0 {
			policy, left = append(policy, ", "...), append(left, ", "...)
		}
		policy = fmt.Appendf(policy, "%q;q=%d;w=%d", b.Name, b.Quota, b.Window)
		left = fmt.Appendf(left, "%q;r=%d;t=%d", b.Name, b.Left, b.Reset)
	}
	if len(policy) > 0 {
		rc.Response.Header.SetBytesV("RateLimit-Policy", policy)
		rc.Response.Header.SetBytesV("RateLimit", left)
	}
}
