// Package crash names the points at which a process may die with something
// half done, so that a test build (tag crashpoints) can stop at each.
package crash

// Point is a place between two steps of the protocol. The shop must survive a
// crash at every one of them.
type Point string

// The crash points that one process can reach. Those of the stock's own
// failures (failover, wipe, old snapshot) are brought about from outside.
const (
	AfterTokenCheck      Point = "after-token-check"
	AfterReserve         Point = "after-reserve"
	TicketRead           Point = "ticket-read"
	BeforeCommit         Point = "before-commit"
	AfterCommit          Point = "after-commit"
	BeforeSettle         Point = "before-settle"
	AfterSettle          Point = "after-settle"
	AfterAck             Point = "after-ack"
	GrantCommitted       Point = "grant-committed"
	GrantApplied         Point = "grant-applied"
	ReclaimedInStock     Point = "reclaimed-in-stock"
	ReclaimedInLedger    Point = "reclaimed-in-ledger"
	BumpCommitted        Point = "bump-committed"
	BumpStarted          Point = "bump-started"
	ReleaseCommitted     Point = "release-committed"
	PaymentEventReceived Point = "payment-event-received"
	PaymentCommitted     Point = "payment-committed"
	PhaseMoved           Point = "phase-moved"
	PublishCommitted     Point = "publish-committed"
)

// Points lists every crash point.
func Points() []Point {
	return []Point{
		AfterTokenCheck, AfterReserve, TicketRead, BeforeCommit, AfterCommit, BeforeSettle,
		AfterSettle, AfterAck, GrantCommitted, GrantApplied, ReclaimedInStock, ReclaimedInLedger,
		BumpCommitted, BumpStarted, ReleaseCommitted, PaymentEventReceived, PaymentCommitted,
		PhaseMoved, PublishCommitted,
	}
}
