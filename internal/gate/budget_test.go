package gate

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestABudgetTellsWhatIsLeftAndTakesNothing(t *testing.T) {
	gate := newGate(t, Rate{PerSecond: 2, Burst: 5}, Rate{PerSecond: 0.5, Burst: 2})
	client := netip.MustParseAddr("192.0.2.1")
	now := testNow
	wants := func(what string, want ...Budget) {
		t.Helper()
		for range 3 {
			if diff := cmp.Diff(want, gate.Budgets(AskOrder, client, "ann", now)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
	}
	wants("at first", Budget{"address", 5, 3, 5, 0}, Budget{"buyer", 2, 4, 2, 0})
	for range 2 {
		_ = gate.Admit(AskOrder, client, now)
		_ = gate.AdmitBuyer(Identity{Buyer: "ann"}, "retro-85", false, now)
	}
	wants("after two orders", Budget{"address", 5, 3, 3, 1}, Budget{"buyer", 2, 4, 0, 4})
	now += int64(1100 * time.Millisecond)
	wants("a second later", Budget{"address", 5, 3, 5, 0}, Budget{"buyer", 2, 4, 0, 3})
	gate.Lists.Post(entries(t, "allow 192.0.2.0/24", "allow buyer:ann"))
	wants("on the allow list")
	gate.Lists.Post(nil)
	gate.Buyers, gate.Addresses = nil, nil
	wants("without limits")
}
