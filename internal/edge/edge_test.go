package edge_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/deploy/compose"
	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shopSite is a site with something of everything.
func shopSite() edge.Site {
	return edge.Site{
		Nodes: []string{"10.0.0.11:8080", "node-2:8080", "[2001:db8::3]:8080"},
		Hosts: []string{"drop.shop.example", "shop.example"}, PageOrigins: []string{"https://shop.example"},
		LimitAddress: gate.Rate{PerSecond: 50, Burst: 100}, LimitBuyer: gate.Rate{PerSecond: 0.5, Burst: 1},
		Proxy: edge.Proxy{Listen: []string{":8443", "[::]:8443"}, Behind: prefixes("203.0.113.0/24", "2001:db8:1::/48")},
		Names: edge.Names{Balancers: addresses("203.0.113.1", "203.0.113.2"), Virtual: addresses("203.0.113.11", "203.0.113.12"), Interface: "eth0"},
		Service: edge.Service{
			Settings: []byte("listen: ':8080'\n"), Secrets: []string{"buyer-key", "root-key"},
			Env: []edge.Env{{Name: "DOORBUSTER_HOSTS", Value: "drop.shop.example,shop.example"}},
		},
	}
}

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, text := range all {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

func addresses(all ...string) (parsed []netip.Addr) {
	for _, text := range all {
		parsed = append(parsed, netip.MustParseAddr(text))
	}
	return parsed
}

// render writes a configuration into a new folder, and returns its files by
// name.
func render(t *testing.T, kind edge.Kind, site edge.Site) (dir string, texts map[string]string) {
	t.Helper()
	files, err := edge.Render(kind, site)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	dir, texts = t.TempDir(), map[string]string{}
	if err := edge.Write(dir, files, false); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		texts[file.Name] = string(file.Text)
	}
	return dir, texts
}

// What proxies and shells could read as more than a value is refused, each in
// its flag's name, all at once.
func TestNothingCanBeSmuggledIntoAConfiguration(t *testing.T) {
	tricks := []string{"a b", "a;b", "a{b", "a\nb", "a'b", `a"b`, "$a", "a#b", "a\\b", "`id`", ""}
	for _, trick := range tricks {
		for field, change := range map[string]func(*edge.Site){
			"--node":            func(s *edge.Site) { s.Nodes = append(s.Nodes, trick+":80") },
			"--hosts":           func(s *edge.Site) { s.Hosts = append(s.Hosts, trick) },
			"--page-origins":    func(s *edge.Site) { s.PageOrigins = append(s.PageOrigins, "https://"+trick) },
			"--proxy-listen":    func(s *edge.Site) { s.Proxy.Listen = append(s.Proxy.Listen, trick+"x:80") },
			"--certificate":     func(s *edge.Site) { s.Proxy.Certificate, s.Proxy.CertificateKey = "x"+trick, "/k" },
			"--certificate-key": func(s *edge.Site) { s.Proxy.Certificate, s.Proxy.CertificateKey = "/c", "x"+trick },
		} {
			for _, kind := range []edge.Kind{edge.Nginx, edge.HAProxy} {
				site := shopSite()
				change(&site)
				files, err := edge.Render(kind, site)
				if faults, ok := errors.AsType[shop.Faults](err); !ok || !slices.ContainsFunc(faults, func(f shop.Fault) bool { return f.Field == field }) {
					t.Errorf("%s with %q as %s: %d files, %v", kind, trick, field, len(files), err)
				}
			}
		}
	}
	site := shopSite()
	site.Names.Interface = "eth0 }"
	if _, err := edge.Render(edge.DNS, site); err == nil || !strings.Contains(err.Error(), "--interface") {
		t.Errorf("an interface with a bracket: %v", err)
	}
}

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	_, err := edge.Render(edge.Nginx, edge.Site{
		Nodes: []string{"10.0.0.1", "0.0.0.0:80", "a:80", "a:80"}, Hosts: []string{"a..b"},
		Proxy: edge.Proxy{Listen: []string{"nine"}, Certificate: "/c"},
	})
	faults, _ := errors.AsType[shop.Faults](err)
	if len(faults) != 6 {
		t.Errorf("%d faults, want 6:\n%v", len(faults), err)
	}
	_, err = edge.Render(edge.DNS, edge.Site{
		Proxy: edge.Proxy{Listen: []string{":80"}},
		Names: edge.Names{Balancers: addresses("203.0.113.1"), Virtual: addresses("203.0.113.1", "2001:db8::1"), Interface: "eth0"},
	})
	for _, want := range []string{"--hosts", "two balancers", "a balancer's own", "one family"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault says %q: %v", want, err)
		}
	}
}

// A proxy lets pass what all nodes together do, and twice that.
func TestLimitsLeaveTheNodesTheirOwn(t *testing.T) {
	_, texts := render(t, edge.Nginx, shopSite())
	for _, want := range []string{
		"zone=lines:16m rate=300r/s;", "limit_req zone=lines burst=600 nodelay;", "zone=buyers:32m rate=3r/s;", "limit_req zone=buyers burst=6 nodelay;",
	} {
		if !strings.Contains(texts["nginx.conf"], want) {
			t.Errorf("nginx.conf has no %q", want)
		}
	}
	_, texts = render(t, edge.HAProxy, shopSite())
	for _, want := range []string{"sc_http_req_rate(0,lines) gt 3600", "sc_http_req_rate(1,tokens) gt 36"} {
		if !strings.Contains(texts["haproxy.cfg"], want) {
			t.Errorf("haproxy.cfg has no %q", want)
		}
	}
	site := shopSite()
	site.LimitAddress, site.LimitBuyer = gate.Rate{}, gate.Rate{}
	for kind, word := range map[edge.Kind]string{edge.Nginx: "limit_req zone", edge.HAProxy: "stick-table"} {
		if _, texts := render(t, kind, site); strings.Contains(fmt.Sprint(texts), word) {
			t.Errorf("%s limits where nodes do not", kind)
		}
	}
}

// Proxies quote what they answer in single quotes, and read $ and \ in them.
func TestWhatProxiesSayCanStandInQuotes(t *testing.T) {
	_, texts := render(t, edge.Nginx, shopSite())
	said := regexp.MustCompile(`return \d+ '(.*)';`).FindAllStringSubmatch(texts["nginx.conf"], -1)
	if len(said) != 3 {
		t.Fatalf("%d answers, want 3", len(said))
	}
	for _, answer := range said {
		if strings.ContainsAny(answer[1], `'$\%`) || !strings.HasPrefix(answer[1], `{"type":"/problems/`) {
			t.Errorf("nginx would not say this as it stands: %s", answer[1])
		}
	}
}

// The folder of the repository is what is rendered from the defaults.
func TestComposeIsTheCheckedInFolder(t *testing.T) {
	site := edge.Site{LimitAddress: gate.Rate{PerSecond: 50, Burst: 100}, LimitBuyer: gate.Rate{PerSecond: 5, Burst: 10}}
	_, texts := render(t, edge.Compose, site)
	checkedIn, err := os.ReadDir("../../deploy/compose")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range checkedIn {
		name := entry.Name()
		if entry.IsDir() || strings.HasSuffix(name, ".go") || name == ".env" {
			continue
		}
		text, err := os.ReadFile(filepath.Join("../../deploy/compose", name))
		if err != nil {
			t.Fatal(err)
		}
		if texts[name] != string(text) {
			t.Errorf("deploy/compose/%s is not what is rendered; write it anew with: doorbuster deploy compose --out deploy/compose --force", name)
		}
		delete(texts, name)
	}
	for name := range texts {
		t.Errorf("deploy/compose has no %s", name)
	}
}

func TestComposeTakesOverSettings(t *testing.T) {
	site := shopSite()
	site.Service.Env = append(site.Service.Env, edge.Env{Name: "DOORBUSTER_LOG_LEVEL", Value: "de$bug\": {"})
	_, texts := render(t, edge.Compose, site)
	want := `# Written by doorbuster deploy compose: settings that are not compose.yaml's.
x-settings: &settings
  environment:
    DOORBUSTER_HOSTS: "drop.shop.example,shop.example"
    DOORBUSTER_LOG_LEVEL: "de$$bug\": {"
services:
  node-1: *settings
  node-2: *settings
  node-3: *settings
`
	if got := texts["compose.override.yaml"]; got != want {
		t.Errorf("compose.override.yaml is\n%s\nwant\n%s", got, want)
	}
	if embedded, err := fs.ReadFile(compose.Files, "compose.yaml"); err != nil || texts["compose.yaml"] != string(embedded) {
		t.Errorf("compose.yaml was changed: %v", err)
	}
}

func TestAFileThatDiffersIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	files := []edge.File{{Name: "a/one", Mode: 0o755, Text: []byte("one")}, {Name: "two", Mode: 0o644, Text: []byte("two")}, {Name: "three", Mode: 0o644}}
	for range 2 { // the same again is no fault
		if err := edge.Write(dir, files, false); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "a/one")); err != nil || info.Mode() != 0o755 {
		t.Errorf("a/one: %v, %v", info, err)
	}
	files[0].Text, files[1].Text, files[2].Text = []byte("1"), []byte("2"), []byte{}
	faults, _ := errors.AsType[shop.Faults](edge.Write(dir, files, false))
	if len(faults) != 2 {
		t.Errorf("%d faults, want one for each of two files: %v", len(faults), faults)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "two")); err != nil || !bytes.Equal(text, []byte("two")) {
		t.Errorf("two is %q although something differs, %v", text, err)
	}
	if err := edge.Write(dir, files, true); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "two")); err != nil || string(text) != "2" {
		t.Errorf("two is %q by force, %v", text, err)
	}
}
