package redis

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func TestRefusedWritesLeaveNoPartialState(t *testing.T) {
	server := ownRedis(t)
	c := stocked(t, server.URL(), 10)
	ticket := c.reserve(t, 1)
	for name, setting := range map[string][3]string{
		"no memory":   {"maxmemory", "1mb", "OOM"},
		"no replicas": {"min-replicas-to-write", "1", "NOREPLICAS"},
	} {
		before := c.look(t, drop())
		_, err := server.Do(t.Context(), "CONFIG", "SET", setting[0], setting[1])
		must(t, err)
		if answer, err := c.try(t.Context(), 2); err == nil {
			t.Errorf("%s: answer is %+v, want an error", name, answer)
		}
		if got := c.Warnings(); !slices.ContainsFunc(got, func(w string) bool {
			return strings.HasPrefix(w, "Redis refused to write less than half a minute ago: "+setting[2])
		}) {
			t.Errorf("%s: operators hear of %q", name, got)
		}
		_, err = server.Do(t.Context(), "CONFIG", "SET", setting[0], "0")
		must(t, err)
		if diff := cmp.Diff(before, c.look(t, drop())); diff != "" {
			t.Errorf("%s changed the shelf (-before +after):\n%s", name, diff)
		}
	}
	_, err := server.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1mb")
	must(t, err) // what frees memory goes on
	must(t, c.Stock().Settle(t.Context(), drop(), []stock.Settlement{{Ticket: ticket, Verdict: shop.Returned}}))
}

func TestAnotherProtocolIsRefused(t *testing.T) {
	server := oneRedis(t)
	c := stocked(t, server.URL(), 10)
	ticket := c.reserve(t, 1)
	_, err := server.Do(t.Context(), "HSET", c.shelf(drop()).keys.state, "p", "2")
	must(t, err)
	s, ctx := c.Stock(), t.Context()
	for name, try := range map[string]func() error{
		"reserve":   func() error { _, err := c.try(ctx, 2); return err },
		"settle":    func() error { return s.Settle(ctx, drop(), []stock.Settlement{{Ticket: ticket}}) },
		"undecided": func() error { _, err := s.Undecided(ctx, drop(), 1); return err },
		"ticket":    func() error { _, _, err := s.Ticket(ctx, drop(), ticket.Claim); return err },
		"shelf":     func() error { _, err := s.Shelf(ctx, drop()); return err },
		"start":     func() error { return s.Start(ctx, drop(), 9) },
		"grant":     func() error { return s.ApplyGrant(ctx, drop(), 1, stock.Grant{Number: 2, SKU: "a", Quantity: 1}) },
		"reclaim": func() error {
			_, err := s.Reclaim(ctx, drop(), 1, stock.Reclaim{Number: 1, SKU: "a", Quantity: 1})
			return err
		},
	} {
		if err := try(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: error is %v, want %v", name, err, ErrProtocol)
		}
	}
}
