package e2e

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// TestTheOpeningKeyOfAStrictSale looks for the key wherever anybody may look,
// before the sale opens, and then buys with it, before and after a restart.
func TestTheOpeningKeyOfAStrictSale(t *testing.T) {
	t.Parallel()
	n := serve(t, setup{env: []string{"DOORBUSTER_ROOT_KEY=" + fleetRootKey}})
	op, s := n.operator(), newStreet(t, n, 8)
	drop := newSale("drop", 1, map[string]int64{"one": 10})
	drop.OpensAt = time.Now().Add(time.Hour).Truncate(time.Millisecond)
	document := drop.document()
	document["early"] = "strict"
	op.must(t, http.MethodPut, "/sales/drop", document, nil, http.StatusCreated)
	hasher, err := shop.NewHasher([]byte(fleetRootKey))
	if err != nil {
		t.Fatal(err)
	}
	key := hasher.Opening(&shop.Sale{ID: "drop", OpensAt: drop.OpensAt})
	ann := s.shopper(t, "ann")
	buy := func(query string) int {
		t.Helper()
		got, err := ann.send(t.Context(), http.MethodPost, "/api/v1/sales/drop/orders"+query, []byte(`{"sku":"one","quantity":1}`), "ann-1")
		if err != nil {
			t.Fatal(err)
		}
		return got.status
	}
	if got := buy("?opening=" + key); got != http.StatusConflict {
		t.Errorf("with the key, before the opening: %d, want %d as without it", got, http.StatusConflict)
	}
	for where, text := range n.everything(t) {
		if strings.Contains(text, key) {
			t.Errorf("%s has the opening key before the sale opens", where)
		}
	}

	op.move(t, "drop", "open")
	state := func() string { _, body := fetch(t.Context(), n.buyers+"/s/drop/state.json"); return body }
	if text := state(); !strings.Contains(text, `"opening_key":"`+key+`"`) {
		t.Errorf("the state of the open sale is %s, want the key in it", text)
	}
	for _, c := range []struct {
		query string
		want  int
	}{{"", http.StatusForbidden}, {"?opening=" + key, http.StatusCreated}, {"", http.StatusOK}} {
		if got := buy(c.query); got != c.want {
			t.Errorf("POST with %q: %d, want %d", c.query, got, c.want)
		}
	}
	n.kill()
	n.start(t)
	n.ready(t)
	if text := state(); !strings.Contains(text, key) {
		t.Errorf("after a restart the state is %s, want the same key in it", text)
	}
}

// everything is all that the node shows, prints and keeps.
func (n *node) everything(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"the log": n.read()}
	for _, path := range []string{"/api/v1/sales", "/api/v1/sales/drop", "/s/drop", "/s/drop/state.json", "/api/openapi.json"} {
		_, all[path] = fetch(t.Context(), n.buyers+path)
	}
	_, all["/metrics"] = fetch(t.Context(), n.operators+"/metrics")
	for _, path := range []string{"/sales", "/sales/drop", "/sales/drop/orders", "/sales/drop/audit"} {
		_, body, err := n.operator().do(http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		all["operators' "+path] = string(body)
	}
	out := filepath.Join(t.TempDir(), "site")
	if code, said := doorbuster(t, "export", "--data", n.dir, "--sale", "drop", "--out", out); code != 0 {
		t.Fatalf("export: exit %d\n%s", code, said)
	}
	for _, dir := range []string{out, n.dir} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			all[path] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}
