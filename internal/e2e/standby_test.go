package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// lostOrders are what the standby has not heard of when it is promoted.
const lostOrders = 20

// TestAStandbyIsPromotedThatLacksOrders: nodes work on the primary alone,
// although the standby is named first; they find it when it is promoted, see
// that it lacks orders, and sell nothing. When the newest ledger is back they go
// on.
func TestAStandbyIsPromotedThatLacksOrders(t *testing.T) {
	f := startFleet(t, servers.FleetOptions{Nodes: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := f.withStandby(ctx, t)
	r := f.rush(t)
	r.pressed(t, func() { rest(ctx, 2*time.Second) })
	r.healed(t)
	s.unused(ctx, t)

	s.follow.Cut()
	for n := range lostOrders {
		who := r.shopper(t, fmt.Sprintf("lost-%d", n))
		if err := answered(ctx, who, wish{r.deep.ID, "k", "a", 1}); err != nil {
			t.Fatal(err)
		}
	}
	within(t, readyMax, func() error { // their tickets are settled, with the mark
		if now := f.stocked(t); now.tickets > 0 {
			return fmt.Errorf("%d tickets are on their way", now.tickets)
		}
		return nil
	})
	if err := f.Postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.standby.Promote(ctx); err != nil {
		t.Fatal(err)
	}
	within(t, settleMax, func() error { return f.halted(ctx) })
	if err := f.Nodes[0].Kill(); err != nil { // one that knew nothing but the stock
		t.Fatal(err)
	}
	s.start(t, f.Nodes[0])
	within(t, settleMax, func() error { return f.halted(ctx) })
	if err := r.turnedAway(t, "late"); err != nil {
		t.Errorf("a halted sale: %v", err)
	}
	if sold := s.ask(ctx, t, s.standby, "SELECT count(*) FROM doorbuster.claims WHERE buyer LIKE 'late-%'"); sold != "0" {
		t.Errorf("%s orders were accepted by a ledger that has lost history", sold)
	}

	if err := s.standby.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.Postgres.Restart(ctx); err != nil { // the newest ledger
		t.Fatal(err)
	}
	f.sellsAgain(t, r)
	f.settled(t, r)
}

// standby is a PostgreSQL that follows the fleet's, and what nodes are told of
// both.
type standby struct {
	standby *servers.Postgres
	follow  *servers.Proxy // over which it follows
	env     string
}

// withStandby starts a standby and the nodes anew, with both in their URL.
func (f *fleet) withStandby(ctx context.Context, t *testing.T) *standby {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(f.dir, "standby")
	must(os.Mkdir(dir, 0o700))
	s := &standby{}
	var err error
	s.follow, err = servers.StartProxy(ctx, f.Postgres.Address)
	must(err)
	t.Cleanup(func() {
		if err := s.follow.Close(); err != nil {
			t.Error(err)
		}
	})
	s.standby, err = f.Postgres.StartStandby(ctx, dir, s.follow)
	must(err)
	t.Cleanup(func() {
		if err := s.standby.Kill(); err != nil {
			t.Error(err)
		}
	})
	for _, setting := range f.Env() {
		if strings.HasPrefix(setting, "DOORBUSTER_DATABASE_URL=") {
			s.env = strings.Replace(setting, f.Database.Address, s.standby.Address+","+f.Database.Address, 1)
		}
	}
	for _, n := range f.Nodes {
		must(n.Stop())
		s.start(t, n)
	}
	within(t, readyMax, func() error { return f.healthy(ctx) })
	return s
}

func (s *standby) start(t *testing.T, n *servers.Node) {
	t.Helper()
	if err := n.Start(s.env); err != nil {
		t.Fatal(err)
	}
}

func (s *standby) ask(ctx context.Context, t *testing.T, p *servers.Postgres, question string) string {
	t.Helper()
	answer, err := p.Ask(ctx, "doorbuster", question)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// unused wants the standby to have everything, and no node to be connected to
// it.
func (s *standby) unused(ctx context.Context, t *testing.T) {
	t.Helper()
	within(t, readyMax, func() error {
		if count := s.ask(ctx, t, s.standby, "SELECT count(*) > 0 FROM doorbuster.claims"); count != "t" {
			return fmt.Errorf("the standby has no orders: nothing is tested")
		}
		return nil
	})
	const connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'doorbuster'"
	for range 20 { // nodes look, and give up, within a moment
		within(t, readyMax, func() error {
			if n := s.ask(ctx, t, s.standby, connected); n != "0" {
				return fmt.Errorf("%s connections of nodes at the standby", n)
			}
			return nil
		})
	}
}

// halted wants every node to say that the ledger has lost history.
func (f *fleet) halted(ctx context.Context) error {
	for i, n := range f.Nodes {
		status, body := fetch(ctx, "http://"+n.Operators+"/readyz")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "it has lost history") {
			return fmt.Errorf("node %d: %d %s", i+1, status, body)
		}
	}
	return nil
}
