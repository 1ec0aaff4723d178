package gate

import (
	"context"
	"net/netip"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Challenger poses what a buyer has to solve before an order, and tells whether
// it was solved. All of it is safe for many callers at once.
type Challenger interface {
	// Pose appends, as JSON, what the buyer's page needs to solve the task.
	Pose(to []byte, task Task) ([]byte, error)
	// Solved reports whether proof, which strangers wrote, solves the task. An
	// error means that nobody knows. A proof that was good once may be refused
	// later, and is never good for another claim.
	Solved(ctx context.Context, task Task, proof []byte) (bool, error)
}

// Task is what a challenge is for. A solution is good for one claim, and a
// claim is decided once, on all nodes together: who sends a solution again can
// only reach the order that it has led to already. So nobody has to remember
// which solutions were spent.
type Task struct {
	Claim  shop.ClaimID
	Client netip.Addr // who asks, for those who judge by it
	Level  int        // how hard: 0 to LevelMax
	Now    time.Time
}
