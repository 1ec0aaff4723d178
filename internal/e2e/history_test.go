package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// history is what buyers asked and heard, without clocks: a counter says what
// was heard before what was asked.
type history struct {
	clock  atomic.Int64
	mu     sync.Mutex
	claims map[claim][]*answer // in the order heard
}

// claim is one attempt of one buyer.
type claim struct{ sale, buyer, key string }

// answer is one question and what came of it.
type answer struct {
	wish        wish
	sent, heard int64         // moments of the history's counter
	took        time.Duration // this and at: for figures only
	at          time.Time
	status      int // 0: no answer of a node
	proxy       int // what came instead: the status of a proxy's own answer
	code        string
	mayReturn   *bool
	asOf        int64
	order       *order
	wait        time.Duration // what Retry-After asks for
}

// kind is what an answer means for its claim.
type kind int

const (
	unknown kind = iota // nothing is known: a lost answer, "ask again"
	pending             // a ticket, not a promise
	no                  // a no that binds nothing
	refused             // decided against, for ever
	decided             // decided for
)

func (k kind) String() string {
	return [...]string{"unknown", "pending", "no", "refused", "decided"}[k]
}

func newHistory() *history { return &history{claims: map[claim][]*answer{}} }

func (h *history) tick() int64 { return h.clock.Add(1) }

// note remembers an answer.
func (h *history) note(buyer string, a *answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.heard, a.at = h.tick(), time.Now()
	name := claim{a.wish.sale, buyer, a.wish.key}
	h.claims[name] = append(h.claims[name], a)
}

// read takes in a response to a wish.
func (a *answer) read(got reply) {
	a.status = got.status
	a.wait = retryAfter(got)
	if strings.Contains(got.header.Get("Proxy-Status"), "destination_unavailable") { // in a node's words
		a.status, a.proxy = 0, got.status
		return
	}
	if a.status < http.StatusMultipleChoices {
		found := &order{}
		if err := json.Unmarshal(got.body, found); err != nil || found.ID == "" {
			a.status = 0 // no order: nothing is known
			return
		}
		a.order = found
		return
	}
	var problem struct {
		Code      string `json:"code"`
		MayReturn *bool  `json:"may_return"`
		AsOf      int64  `json:"as_of"`
		Order     *order `json:"order"`
	}
	if err := json.Unmarshal(got.body, &problem); err != nil {
		a.status, a.proxy = 0, got.status
		return
	}
	a.code, a.mayReturn, a.asOf, a.order = problem.Code, problem.MayReturn, problem.AsOf, problem.Order
}

func (a *answer) kind() kind {
	switch {
	case a.status == 0, a.status >= http.StatusInternalServerError, a.status == http.StatusTooManyRequests:
		return unknown
	case a.order == nil:
		return no
	case a.order.Status == "pending":
		return pending
	case a.order.Status == "refused":
		return refused
	default:
		return decided
	}
}

// gone reports a "sold out" that promises to be final.
func (a *answer) gone() bool {
	return a.code == "sold_out" && a.mayReturn != nil && !*a.mayReturn
}

func (a *answer) String() string {
	text := fmt.Sprintf("[%d…%d] %s × %d: %d %s", a.sent, a.heard, a.wish.sku, a.wish.quantity, a.status, a.code)
	if a.order != nil {
		text += fmt.Sprintf(" %+v", *a.order)
	}
	return text
}

// each calls visit with every claim and its answers, in no order.
func (h *history) each(visit func(claim, []*answer)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, answers := range h.claims {
		visit(name, answers)
	}
}

// faults checks the history against a sale's orders as the ledger has them:
// what was promised stands, what was refused has no order, nobody has more
// than the limit, and every claim had one final answer.
func (h *history) faults(s *sale, orders map[string]*order) []string {
	var faults []string
	report := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	claims := map[string]int{} // of each buyer
	byID := map[string]claim{}
	h.each(func(name claim, answers []*answer) {
		if name.sale != s.ID {
			return
		}
		claims[name.buyer]++
		for _, fault := range contradictions(answers) {
			report("%v: %s", name, fault)
		}
		for _, a := range answers {
			if a.order == nil || a.kind() == pending {
				continue
			}
			if other, taken := byID[a.order.ID]; taken && other != name {
				report("%v and %v have the same order %s", name, other, a.order.ID)
			}
			byID[a.order.ID] = name
			if fault := promise(name, a, s, orders[a.order.ID]); fault != "" {
				report("%v: %s after %s", name, fault, a)
			}
		}
	})
	live, count := map[string]int64{}, map[string]int{}
	for _, each := range orders {
		count[each.Buyer]++
		if each.live() {
			live[each.Buyer] += each.Quantity
		}
	}
	for buyer, units := range live {
		if units > s.Limit {
			report("%s has %d units, the limit is %d", buyer, units, s.Limit)
		}
		if count[buyer] > claims[buyer] {
			report("%s has %d orders, and made %d claims", buyer, count[buyer], claims[buyer])
		}
	}
	return faults
}

// promise says how an answer and the ledger's order differ.
func promise(name claim, a *answer, s *sale, kept *order) string {
	told := a.order
	if a.kind() == refused {
		if kept != nil && (kept.Status != "refused" || kept.Reason != told.Reason) {
			return fmt.Sprintf("refused, and the ledger has %+v", *kept)
		}
		return ""
	}
	if kept == nil {
		return "the order is not in the ledger"
	}
	if kept.Buyer != name.buyer || kept.SKU != told.SKU || kept.Quantity != told.Quantity ||
		kept.Amount != told.Amount || kept.Currency != told.Currency || kept.CreatedAt != told.CreatedAt {
		return fmt.Sprintf("the ledger has %+v", *kept)
	}
	if told.SKU != a.wish.sku || told.Quantity != a.wish.quantity {
		return "not what was asked for"
	}
	if unit := s.item(told.SKU).Price.Amount; told.Amount != unit*told.Quantity {
		return fmt.Sprintf("the amount is not %d × %d", told.Quantity, unit)
	}
	if !leads(told.Status, kept.Status) {
		return "the ledger has it as " + kept.Status
	}
	return ""
}

// leads reports whether an order in one status may later be in the other.
func leads(from, to string) bool {
	next := map[string][]string{
		"pending":          {"awaiting_payment", "paid", "refused"},
		"awaiting_payment": {"paid", "expired", "cancelled"},
		"paid":             {"refund_due", "cancelled"}, // cancelled: a free one
		"expired":          {"paid", "refund_due"},
		"cancelled":        {"refund_due"},
		"refund_due":       {"refunded"},
	}
	return from == to || slices.ContainsFunc(next[from], func(s string) bool { return leads(s, to) })
}

// contradictions finds where the answers for one claim are not
// (pending | unknown | no)* and then one final value.
func contradictions(answers []*answer) []string {
	var faults []string
	var final *answer
	for _, a := range answers { // in the order heard
		if k := a.kind(); k != decided && k != refused {
			continue
		}
		switch {
		case final == nil:
			final = a
		case a.kind() != final.kind() || a.order.ID != final.order.ID || a.order.Reason != final.order.Reason:
			faults = append(faults, fmt.Sprintf("two verdicts: %s and %s", final, a))
		case a.sent > final.heard && !leads(final.order.Status, a.order.Status):
			faults = append(faults, fmt.Sprintf("back from %s to %s", final, a))
		case a.sent > final.heard && a.status == http.StatusCreated:
			faults = append(faults, fmt.Sprintf("a repeat of %s was created anew: %s", final, a))
		}
	}
	if final == nil {
		return faults
	}
	for _, a := range answers {
		k := a.kind()
		reused := a.wish != final.wish
		switch {
		case a.sent < final.heard || k == unknown:
		case reused && a.code != "key_reused":
			faults = append(faults, fmt.Sprintf("another wish under the key of %s: %s", final, a))
		case !reused && (k == pending || k == no):
			faults = append(faults, fmt.Sprintf("%s after the final %s", a, final))
		}
	}
	return faults
}
