package shop_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestEachEventLeadsOnlyWhereTheLifeOfAnOrderLeads(t *testing.T) {
	type move struct {
		from  shop.Status
		event shop.Event
	}
	leads := map[move]shop.Status{
		{shop.Pending, shop.Accept}:         shop.AwaitingPayment,
		{shop.Pending, shop.AcceptFree}:     shop.Paid,
		{shop.Pending, shop.Refuse}:         shop.Refused,
		{shop.AwaitingPayment, shop.Pay}:    shop.Paid,
		{shop.AwaitingPayment, shop.Expire}: shop.Expired,
		{shop.AwaitingPayment, shop.GiveUp}: shop.Cancelled,
		{shop.Paid, shop.GiveUp}:            shop.Cancelled, // a free one; the ledger knows
		{shop.Paid, shop.CallOff}:           shop.RefundDue,
		{shop.Expired, shop.Retake}:         shop.Paid,
		{shop.Expired, shop.PayLate}:        shop.RefundDue,
		{shop.Cancelled, shop.PayLate}:      shop.RefundDue,
		{shop.RefundDue, shop.Refund}:       shop.Refunded,
	}
	for _, from := range shop.Statuses() {
		for event := shop.Accept; event <= shop.Refund; event++ {
			to, ok := from.After(event)
			want, leadsThere := leads[move{from, event}]
			if ok != leadsThere || (ok && to != want) {
				t.Errorf("%s after event %d is %s, %v; want %s, %v", from, event, to, ok, want, leadsThere)
			}
		}
		if _, ok := from.After(shop.Refund + 1); ok {
			t.Errorf("%s follows an event that there is not", from)
		}
	}
}

func TestOnlyHeldAndOwnedUnitsCountAgainstTheLimit(t *testing.T) {
	for _, status := range shop.Statuses() {
		if want := status == shop.AwaitingPayment || status == shop.Paid; status.Live() != want {
			t.Errorf("%s: live is %v, want %v", status, status.Live(), want)
		}
	}
}

func TestStatusesAreReadByTheNamesOfTheContract(t *testing.T) {
	names := []string{"pending", "awaiting_payment", "paid", "expired", "cancelled", "refused", "refund_due", "refunded"}
	for i, status := range shop.Statuses() {
		if status.String() != names[i] {
			t.Errorf("got %s, want %s", status, names[i])
		}
		if back, ok := shop.ParseStatus(names[i]); !ok || back != status {
			t.Errorf("ParseStatus(%s) = %s, %v", names[i], back, ok)
		}
	}
	for _, name := range []string{"", "Paid", "unknown"} {
		if _, ok := shop.ParseStatus(name); ok {
			t.Errorf("ParseStatus takes %q", name)
		}
	}
	if got := shop.Status(200).String(); got != "unknown" {
		t.Errorf("a status that there is not is %q", got)
	}
}

func TestEachVerbLeadsFromEveryPhaseWhereItMay(t *testing.T) {
	no := shop.Phase(99)
	for _, c := range []struct {
		verb shop.Verb
		want [4]shop.Phase // from scheduled, open, paused, closed
	}{
		{shop.VerbOpen, [4]shop.Phase{shop.Open, shop.Open, no, no}},
		{shop.VerbPause, [4]shop.Phase{no, shop.Paused, shop.Paused, no}},
		{shop.VerbResume, [4]shop.Phase{no, shop.Open, shop.Open, no}},
		{shop.VerbClose, [4]shop.Phase{shop.Closed, shop.Closed, shop.Closed, shop.Closed}},
		{"reopen", [4]shop.Phase{no, no, no, no}},
	} {
		for from := shop.Scheduled; from <= shop.Closed; from++ {
			to, ok := from.After(c.verb)
			if want := c.want[from]; ok != (want != no) || (ok && to != want) {
				t.Errorf("%s from %s leads to %s, %v; want %s", c.verb, from, to, ok, want)
			}
		}
	}
}

func TestTimesFlipPhasesAndNeverBack(t *testing.T) {
	opens := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	sale := shop.Sale{OpensAt: opens, ClosesAt: opens.Add(time.Hour)}
	before, during, after := opens.Add(-1), opens, opens.Add(time.Hour)
	for _, c := range []struct {
		now        time.Time
		from, want shop.Phase
	}{
		{before, shop.Scheduled, shop.Scheduled},
		{during, shop.Scheduled, shop.Open},
		{after, shop.Scheduled, shop.Closed}, // a node that slept through the sale
		{before, shop.Open, shop.Open},       // opened early, or a clock set back
		{during, shop.Open, shop.Open},
		{after, shop.Open, shop.Closed},
		{during, shop.Paused, shop.Paused},
		{after, shop.Paused, shop.Closed},
		{before, shop.Closed, shop.Closed},
		{during, shop.Closed, shop.Closed},
	} {
		if got := sale.DueAt(c.now, c.from); got != c.want {
			t.Errorf("at %s from %s: %s, want %s", c.now.Sub(opens), c.from, got, c.want)
		}
	}
	sale.ClosesAt = time.Time{}
	if got := sale.DueAt(opens.AddDate(50, 0, 0), shop.Open); got != shop.Open {
		t.Errorf("a sale closed by hand became %s", got)
	}
}

func TestAChangeIsRefusedWhereItBreaksAPromise(t *testing.T) {
	published := decode(t, small)
	published.Items = append(published.Items, shop.Item{SKU: "eu-43", Title: "EU 43", Stock: 10, Price: shop.Money{Amount: 1, Currency: "EUR"}})
	given := map[string]int64{"eu-42": 7}
	for _, c := range []struct {
		name    string
		change  func(*shop.Sale)
		opened  bool
		reasons int
	}{
		{"nothing", func(*shop.Sale) {}, true, 0},
		{"a title, a limit, a hold and a closing time", func(s *shop.Sale) {
			s.Title, s.LimitPerBuyer, s.Hold, s.ClosesAt = "New", 5, time.Hour, s.OpensAt.Add(time.Hour)
		}, true, 0},
		{"more stock and a new item", func(s *shop.Sale) {
			s.Items[0].Stock++
			s.Items = append(s.Items, shop.Item{SKU: "eu-44"})
		}, true, 0},
		{"stock down to what is given out", func(s *shop.Sale) { s.Items[0].Stock = 7 }, true, 0},
		{"stock below it", func(s *shop.Sale) { s.Items[0].Stock = 6 }, true, 1},
		{"stock below it before opening", func(s *shop.Sale) { s.Items[0].Stock = 6 }, false, 1},
		{"an item removed", func(s *shop.Sale) { s.Items = s.Items[:1] }, true, 1},
		{"an item removed before opening", func(s *shop.Sale) { s.Items = s.Items[:1] }, false, 0},
		{"an item removed that buyers have", func(s *shop.Sale) { s.Items = s.Items[1:] }, true, 2},
		{"a price", func(s *shop.Sale) { s.Items[1].Price.Amount++ }, true, 1},
		{"a price before opening", func(s *shop.Sale) { s.Items[1].Price.Amount++ }, false, 0},
		{"a currency", func(s *shop.Sale) { s.Items[1].Price.Currency = "USD" }, true, 1},
		{"the opening", func(s *shop.Sale) { s.OpensAt = s.OpensAt.Add(time.Second) }, true, 1},
		{"the opening in another zone", func(s *shop.Sale) { s.OpensAt = s.OpensAt.In(time.FixedZone("", 3600)) }, true, 0},
		{"the opening before it", func(s *shop.Sale) { s.OpensAt = s.OpensAt.Add(time.Second) }, false, 0},
		{"the id", func(s *shop.Sale) { s.ID = "other" }, false, 1},
		{"everything", func(s *shop.Sale) {
			s.ID, s.OpensAt, s.Items = "other", s.OpensAt.Add(1), []shop.Item{{SKU: "eu-43"}}
		}, true, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := decode(t, string(shop.EncodeSale(published)))
			c.change(&next)
			if got := published.BrokenBy(&next, c.opened, given); len(got) != c.reasons {
				t.Errorf("%d reasons, want %d: %q", len(got), c.reasons, got)
			}
		})
	}
}

func TestEveryCodeIsListedOnce(t *testing.T) {
	seen := map[shop.Code]bool{}
	for _, code := range shop.Codes() {
		if seen[code] || code == "" {
			t.Errorf("%q is listed twice or empty", code)
		}
		seen[code] = true
	}
	if len(seen) != 21 {
		t.Errorf("%d codes, want the contract's 21", len(seen))
	}
	no := shop.Refusal{Code: shop.Malformed}
	if no.Error() != "malformed" {
		t.Errorf("a refusal without detail says %q", no.Error())
	}
	no.Detail = "Write digits."
	if diff := cmp.Diff("malformed: Write digits.", no.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyTheVerySameTicketIsTheSame(t *testing.T) {
	ticket := shop.Ticket{Claim: shop.ClaimID{1}, Bucket: shop.Bucket{Sale: "s", Number: 1}, Epoch: 2, Seq: 3, Nonce: 4, Buyer: "b", SKU: "x", Quantity: 5}
	same := ticket
	same.At, same.KeyPrint = time.Unix(9, 0), 9
	if !ticket.Same(&same) {
		t.Error("when it was read is not part of a ticket")
	}
	for name, change := range map[string]func(*shop.Ticket){
		"claim": func(t *shop.Ticket) { t.Claim[0]++ }, "sale": func(t *shop.Ticket) { t.Bucket.Sale = "r" },
		"bucket": func(t *shop.Ticket) { t.Bucket.Number++ }, "epoch": func(t *shop.Ticket) { t.Epoch++ },
		"seq": func(t *shop.Ticket) { t.Seq++ }, "nonce": func(t *shop.Ticket) { t.Nonce++ },
		"buyer": func(t *shop.Ticket) { t.Buyer = "c" }, "sku": func(t *shop.Ticket) { t.SKU = "y" },
		"quantity": func(t *shop.Ticket) { t.Quantity++ },
	} {
		other := ticket
		change(&other)
		if ticket.Same(&other) {
			t.Errorf("a ticket with another %s is the same", name)
		}
	}
}
