package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// TestTwoVersions runs nodes of two versions side by side: one whose scripts
// differ sells together with the others; one that keeps the stock in another
// way serves nothing, and disturbs nobody.
func TestTwoVersions(t *testing.T) {
	f := startFleet(t, servers.FleetOptions{Nodes: 1})
	r := f.rush(t)
	scripts := f.scripts(t)
	next := f.beside(t, another(t, "next", func(name, text string) string {
		if strings.HasSuffix(name, ".lua") {
			text += "\n-- Of another version: another hash.\n"
		}
		return text
	}))
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
	both := f.rushTo(t, r, next)
	since := r.history.tick()
	sold := func(n *servers.Node) float64 { return metric(t, n, "doorbuster_orders_total") }
	within(t, backMax, func() error { // buyers of either meet both versions
		both.pressed(t, func() { rest(t.Context(), time.Second) })
		for i, n := range f.Nodes {
			if sold(n) < 100 {
				return fmt.Errorf("node %d has decided %g orders", i+1, sold(n))
			}
		}
		return nil
	})
	r.polite(t, since)
	if now := f.scripts(t); now <= scripts {
		t.Errorf("Redis knows %d scripts, %d before: the versions do not differ", now, scripts)
	}
	stranger := f.beside(t, another(t, "stranger", func(name, text string) string {
		if name != "script.go" {
			return text
		}
		other := strings.Replace(text, `const protocol = "1"`, `const protocol = "2"`, 1)
		if other == text {
			t.Fatal("the protocol's number stands elsewhere now")
		}
		return other
	}))
	f.Nodes = f.Nodes[:len(f.Nodes)-1] // it is none of them
	t.Cleanup(func() { _ = stranger.Kill() })
	direct := newStreetAt(t, "http://"+stranger.Buyers, 2)
	direct.history = r.history
	both.pressed(t, func() {
		within(t, readyMax, func() error {
			status, body := fetch(t.Context(), "http://"+stranger.Operators+"/readyz")
			if status != http.StatusServiceUnavailable || !strings.Contains(body, "deep") {
				return fmt.Errorf("a node of another protocol: readyz %d %s", status, body)
			}
			return nil
		})
		if log, err := os.ReadFile(stranger.Log); err != nil || !strings.Contains(string(log), "another protocol number: 1, this version has 2") {
			t.Errorf("a node of another protocol does not say so: %v %s", err, tail(string(log), 1000))
		}
		for i := range 10 {
			a := direct.shopper(t, fmt.Sprintf("strange-%d", i)).buy(t.Context(), wish{r.deep.ID, "k", "a", 1})
			if a.status != http.StatusServiceUnavailable || a.wait < time.Second {
				t.Errorf("a node of another protocol sells: %s", a)
			}
		}
		f.sellsAgain(t, r)
	})
	for i, n := range f.Nodes { // each finds what the others left
		if bumps := metric(t, n, "doorbuster_supply_bumps_total"); bumps > 0 {
			t.Errorf("node %d began %g new epochs beside other versions", i+1, bumps)
		}
	}
	if err := stranger.Stop(); err != nil {
		t.Error(err)
	}
	f.settled(t, r)
}

// scripts is how many Redis knows.
func (f *fleet) scripts(t *testing.T) (count int) {
	t.Helper()
	text, err := f.Single.Do(t.Context(), "INFO", "memory")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		_, _ = fmt.Sscanf(line, "number_of_cached_scripts:%d", &count) // other lines are passed over
	}
	return count
}

// another builds the program with a file of internal/redis changed, and
// returns its path.
func another(t *testing.T, version string, change func(name, text string) string) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "internal", "redis", "*"))
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a folder
		}
		name := filepath.Base(file)
		if changed := change(name, string(text)); changed != string(text) {
			replace[file] = filepath.Join(dir, name)
			if err := os.WriteFile(replace[file], []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "doorbuster")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-overlay", list,
		"-ldflags", "-s -w -X main.version="+version, "-o", program, "./cmd/doorbuster")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", version, err, out)
	}
	return program
}

// metric adds up all lines of a metric.
func metric(t *testing.T, n *servers.Node, name string) (sum float64) {
	t.Helper()
	_, text := fetch(t.Context(), "http://"+n.Operators+"/metrics")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &value); err == nil {
			sum += value
		}
	}
	return sum
}
