package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/bench/load"
)

// tally is what a crowd heard in one run of the peers' load, and what became of
// it.
type tally struct {
	first uint64  // the number of the buyer who came first
	taken float64 // how much of a core another process had
	took  time.Duration

	refused atomic.Int64 // heard 409 sold_out

	mu      sync.Mutex
	won     []int64          // heard 201: the numbers of their requests
	soldOut time.Duration    // after how long the last of them did
	failed  int64            // heard 5xx; they are among the others
	others  map[string]int64 // heard anything else, by status and code

	reckoning
}

// reckoning is how what the crowd heard and what the books say differ.
type reckoning struct {
	oversold, undersold int64 // units
	unbooked            int64 // buyers who heard 201 and are not in the books
	untold              int64 // buyers in the books, or units of theirs, who heard none
}

// soldOutMark is in the body of every 409 sold_out.
const soldOutMark = `"code":"` + soldOutCode + `"`

// hear takes note of an answer.
func (t *tally) hear(a *load.Answer) {
	if a.Status == http.StatusConflict && bytes.Contains(a.Body, []byte(soldOutMark)) {
		t.refused.Add(1)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.Status == http.StatusCreated {
		t.won, t.soldOut = append(t.won, a.Number), max(t.soldOut, a.After)
		return
	}
	var no struct{ Code string }
	_ = json.Unmarshal(a.Body, &no) // a body that is no problem has no code
	t.others[strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, no.Code))]++
	if a.Status >= http.StatusInternalServerError {
		t.failed++
	}
}

// answers is how many there were of any kind.
func (t *tally) answers() int64 {
	sum := int64(len(t.won)) + t.refused.Load()
	for _, count := range t.others {
		sum += count
	}
	return sum
}

// reckon holds what was heard against the books of a sale of so many units, of
// which everybody wanted one.
func (t *tally) reckon(accounts *books, units int64) {
	t.oversold, t.undersold = max(0, accounts.units-units), max(0, units-accounts.units)
	told := int64(0)
	for _, number := range t.won {
		if accounts.buyers[buyerID(t.first+uint64(number))] == 0 {
			t.unbooked++
		} else {
			told++
		}
	}
	t.untold = accounts.units - told
}

// kinds lists the answers of all runs.
func kinds(all []*tally) string {
	sums := map[string]int64{}
	for _, t := range all {
		sums["201"] += int64(len(t.won))
		sums["409 "+soldOutCode] += t.refused.Load()
		for kind, count := range t.others {
			sums[kind] += count
		}
	}
	var words []string
	for _, kind := range slices.Sorted(maps.Keys(sums)) {
		words = append(words, fmt.Sprintf("%d × %s", sums[kind], kind))
	}
	return strings.Join(words, ", ")
}

// tallyLines tells paces as medians, and what must never be as a sum: once in
// three runs is once too often.
func tallyLines(what string, all []*tally) []line {
	answers := line{what: what + ": answers", goal: noGoal("/s")}
	orders := line{what: what + ": orders, until sold out", goal: noGoal("/s")}
	var refusals, soldOut, took, taken spread
	var sum reckoning
	var failed, others int64
	for _, t := range all {
		answers.value = append(answers.value, float64(t.answers())/t.took.Seconds())
		orders.value = append(orders.value, float64(len(t.won))/t.soldOut.Seconds())
		refusals = append(refusals, float64(t.refused.Load())/(t.took-t.soldOut).Seconds())
		soldOut, took, taken = append(soldOut, t.soldOut.Seconds()), append(took, t.took.Seconds()), append(taken, t.taken)
		failed += t.failed
		others += t.answers() - int64(len(t.won)) - t.refused.Load()
		sum.oversold, sum.undersold = sum.oversold+t.oversold, sum.undersold+t.undersold
		sum.unbooked, sum.untold = sum.unbooked+t.unbooked, sum.untold+t.untold
	}
	answers.figure = fmt.Sprintf("every buyer new, with a token of his own; all within %s s; refusals at %s/s", took, refusals)
	if taken.median() > 0 {
		answers.figure += fmt.Sprintf("; another process had %s of a core", taken)
	}
	orders.figure = fmt.Sprintf("the last after %s s", soldOut)
	never := func(what string, count int64, unit, figure string) line {
		return line{what: what, goal: atMost(0, unit), value: spread{float64(count)}, figure: figure}
	}
	return []line{
		answers, orders,
		never(what+": 5xx", failed, "answers", kinds(all)),
		never(what+": neither 201 nor sold_out", others, "answers", "5xx included"),
		never(what+": oversold", sum.oversold, "units", "by the list of orders, after an audit"),
		never(what+": undersold", sum.undersold, "units", "once somebody heard sold_out"),
		never(what+": 201 and not in the books, or the reverse", sum.unbooked+sum.untold, "orders", ""),
	}
}
