package web

import (
	"bytes"
	"context"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// proofField bears the solution of a challenge.
const proofField = "Doorbuster-Challenge"

// writeUnproven writes the one answer to an order without a solution, and to
// one whose solution is wrong in whatever way. pass is the opening key that the
// order bears: the challenge wants it too.
func (d *Door) writeUnproven(sale, pass string) refusal {
	where := "/api/v1/sales/" + sale + "/challenge"
	if pass != "" {
		where += "?" + passParameter + pass
	}
	return d.write(&shop.Refusal{
		Code:      shop.ChallengeRequired,
		Challenge: where,
		Detail: "Ask for a challenge at the address in challenge, with the Idempotency-Key of this order; " +
			"send the same order again with the solution in " + proofField + ".",
	})
}

// challenge poses what the buyer has to solve before an order, to those whom
// the sale's notice lets hope. It is charged to the buyer's limit: posing costs
// more than any refusal.
func (d *Door) challenge(rc *fasthttp.RequestCtx, sale []byte) {
	p, ok := d.greet(rc, sale)
	if !ok || !d.identify(rc, &p.who) || !d.recognise(rc, &p) || !d.admitBuyer(rc, &p) {
		return
	}
	switch {
	case p.shown.unproven == nil:
		d.say(rc, &d.said.noChallenge)
		return
	case p.key == nil:
		d.say(rc, &d.said.noKey)
		return
	}
	body, err := d.Gate.Challenger.Pose(nil, d.task(rc, &p))
	if err != nil {
		d.refuse(rc, err)
		return
	}
	d.hint(rc, p.who.Buyer)
	d.Counts.Challenges.Add(1)
	d.personal(rc, fasthttp.StatusOK, body)
}

// prove does check 7. Who has an answer already gets it without.
func (d *Door) prove(ctx context.Context, rc *fasthttp.RequestCtx, p *purchase) bool {
	if p.shown.unproven == nil || p.known {
		return true
	}
	attempt := gate.Attempt{
		Who: p.who, Sale: &p.shown.notice.Sale, Key: p.key, Client: d.client(rc), Now: d.Now().UnixNano(),
	}
	if !d.Gate.Challenges(&attempt) {
		return true
	}
	task := d.task(rc, p)
	p.shown.difficulty.Note(attempt.Now)
	solved, err := d.Gate.Solved(ctx, task, rc.Request.Header.Peek(proofField))
	if err != nil {
		d.refuse(rc, err)
		return false
	}
	if !solved {
		d.say(rc, p.shown.unproven)
		return false
	}
	d.Gate.Passed(&attempt)
	return true
}

// automatedHint stands in the challenge's query where the browser says of itself
// that a program steers it. Whoever lies is believed: it is a hint.
const automatedHint = "automated"

// hint notes what the solver says of its browser.
func (d *Door) hint(rc *fasthttp.RequestCtx, buyer string) {
	_, query, _ := bytes.Cut(rc.RequestURI(), []byte("?"))
	for part := range bytes.SplitSeq(query, []byte("&")) {
		if string(part) == automatedHint {
			d.Gate.Suspicion.Automated(buyer, d.Now().UnixNano())
		}
	}
}

// task is what a challenge of this order is for.
func (d *Door) task(rc *fasthttp.RequestCtx, p *purchase) gate.Task {
	now := d.Now()
	return gate.Task{
		Claim:  d.Desk.Hasher.Claim(p.shown.notice.Sale.ID, p.who.Buyer, view(p.key)),
		Client: d.client(rc), Level: p.shown.difficulty.Level(now.UnixNano()), Now: now,
	}
}
