package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// The key that every node of a fleet hashes claims with.
const fleetRootKey = "canary-root-key-0123456789-0123456789"

// fleet is a shop of several nodes behind nginx, over real servers.
type fleet struct {
	*servers.Fleet
	dir  string
	turn atomic.Uint64
}

// startFleet starts a shop of three nodes that stop at crash points when told
// to, over a Redis Cluster of three masters with a replica each.
func startFleet(t *testing.T, options servers.FleetOptions) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; left to make e2e")
	}
	options.Dir, options.Binary = t.TempDir(), binary(t, crashing)
	options.Env = append(options.Env, "DOORBUSTER_BUYER_KEY="+buyerKey, "DOORBUSTER_ADMIN_TOKEN="+adminToken, "DOORBUSTER_ROOT_KEY="+fleetRootKey)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	f := &fleet{dir: options.Dir}
	t.Cleanup(func() {
		if f.Fleet == nil {
			return
		}
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
		f.discreet(t)
	})
	var err error
	if f.Fleet, err = servers.StartFleet(ctx, options); err != nil {
		t.Fatal(err)
	}
	return f
}

// operator asks any node that runs.
func (f *fleet) operator() *operator {
	return &operator{pick: func() string {
		for range f.Nodes {
			n := f.Nodes[f.turn.Add(1)%uint64(len(f.Nodes))]
			if n.Running() {
				return "http://" + n.Operators + "/admin/api/v1"
			}
		}
		return "http://" + f.Nodes[0].Operators + "/admin/api/v1"
	}, token: adminToken, client: &http.Client{Timeout: 10 * time.Second}}
}

// healthy wants every node to be ready for buyers.
func (f *fleet) healthy(ctx context.Context) error {
	for i, n := range f.Nodes {
		if !n.Running() {
			return fmt.Errorf("node %d has ended: %s", i+1, n.Process().Said())
		}
		if status, body := fetch(ctx, "http://"+n.Operators+"/readyz"); status != http.StatusOK {
			return fmt.Errorf("node %d: readyz: %d %s", i+1, status, body)
		}
	}
	return nil
}

// audit runs the command over the shared ledger.
func (f *fleet) audit(t *testing.T) {
	t.Helper()
	env := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}, f.Env()...)
	if code, out := command(t, env, "audit"); code != 0 {
		t.Errorf("audit: exit %d, want 0\n%s", code, out)
	}
}

// discreet wants logs without panics, secrets and whole addresses.
func (f *fleet) discreet(t *testing.T) {
	t.Helper()
	for i := range f.Nodes {
		path := filepath.Join(f.dir, fmt.Sprintf("node-%d", i+1), "log")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		for j, word := range []string{buyerKey, adminToken, fleetRootKey, "eyJ", "2001:db8:", canary, "panic", "goroutine "} {
			if strings.Contains(string(text), word) {
				t.Errorf("the log of node %d has what it must not have: number %d of the secrets", i+1, j)
			}
		}
		if t.Failed() {
			t.Logf("end of the log of node %d:\n%s", i+1, tail(string(text), 5000))
		}
	}
}
