package edge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/servers"
)

// certificate makes one with its key: apart, and in one file as HAProxy wants
// them.
func certificate(t *testing.T) (cert, key, both string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop.example"}, NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	must(err)
	rawKey, err := x509.MarshalPKCS8PrivateKey(private)
	must(err)
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	two := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey})
	dir := t.TempDir()
	cert, key, both = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "both.pem")
	must(os.WriteFile(cert, one, 0o600))
	must(os.WriteFile(key, two, 0o600))
	must(os.WriteFile(both, append(one, two...), 0o600))
	return cert, key, both
}

// sites are different enough to reach every line of the templates. Names of
// nodes are resolved at the start, so here they are addresses.
func sites(t *testing.T) map[string]edge.Site {
	t.Helper()
	cert, key, _ := certificate(t)
	address, err := servers.FreeAddress() // nginx binds where it only tests, too
	if err != nil {
		t.Fatal(err)
	}
	one := edge.Site{Nodes: []string{"127.0.0.1:8080"}, Proxy: edge.Proxy{Listen: []string{address}, Folder: t.TempDir()}}
	three := shopSite()
	three.Nodes[1] = "10.0.0.12:8080"
	three.Proxy.Listen, three.Proxy.Folder = []string{address}, t.TempDir()
	tls := three
	tls.Proxy.Certificate, tls.Proxy.CertificateKey = cert, key
	outermost := tls
	outermost.Proxy.Behind, outermost.PageOrigins = nil, []string{"*"}
	return map[string]edge.Site{
		"one node and nothing else": one, "three nodes behind a CDN": three, "with TLS": tls, "with TLS, outermost, for pages of any origin": outermost,
	}
}

func TestNginxTakesEachSite(t *testing.T) {
	for name, site := range sites(t) {
		t.Run(name, func(t *testing.T) {
			dir, _ := render(t, edge.Nginx, site)
			out, err := servers.Output(t.Context(), "nginx", "-t", "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
			if err != nil || strings.Contains(out, "[warn]") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestHAProxyTakesEachSite(t *testing.T) {
	_, _, both := certificate(t)
	for name, site := range sites(t) {
		t.Run(name, func(t *testing.T) {
			if site.Proxy.Certificate != "" {
				site.Proxy.Certificate, site.Proxy.CertificateKey = both, ""
			}
			dir, _ := render(t, edge.HAProxy, site)
			out, err := servers.Output(t.Context(), "haproxy", "-c", "-f", filepath.Join(dir, "haproxy.cfg"))
			if err != nil || strings.Contains(out, "WARNING") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestANameServerTakesTheRecords(t *testing.T) {
	site := shopSite()
	site.Names.Virtual, site.Names.Balancers = nil, addresses("203.0.113.1", "203.0.113.2", "2001:db8::1")
	dir, _ := render(t, edge.DNS, site)
	zone := filepath.Join(dir, "whole.zone")
	text := "$ORIGIN shop.example.\n@ 3600 IN SOA ns root 1 3600 600 86400 60\n@ 3600 IN NS ns\nns 3600 IN A 203.0.113.53\n$INCLUDE " + filepath.Join(dir, "shop.zone") + "\n"
	if err := os.WriteFile(zone, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := servers.Output(t.Context(), "named-checkzone", "-D", "shop.example", zone)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"drop.shop.example.", "shop.example."} {
		for _, want := range []string{"A\t+203.0.113.1", "A\t+203.0.113.2", "AAAA\t+2001:db8::1"} {
			if !regexp.MustCompile(`(?m)^` + name + `\s+30 IN ` + want + `$`).MatchString(out) {
				t.Errorf("no %s for %s in\n%s", want, name, out)
			}
		}
	}
}

// Each address is at home at one balancer, and the next ones are in a row
// behind it.
func TestKeepalivedTakesEachBalancersFile(t *testing.T) {
	site := shopSite()
	site.Names.Balancers = addresses("203.0.113.1", "203.0.113.2", "203.0.113.3")
	dir, texts := render(t, edge.DNS, site)
	for balancer, want := range [][]string{{"150", "148"}, {"149", "150"}, {"148", "149"}} {
		name := fmt.Sprintf("keepalived-%d.conf", balancer+1)
		log := filepath.Join(dir, name+".log")
		// It ends itself with a signal, well or not; what is wrong is in its log.
		check := exec.CommandContext(t.Context(), "/usr/sbin/keepalived", "--config-test="+log, "-f", filepath.Join(dir, name))
		check.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := check.CombinedOutput()
		if check.ProcessState == nil {
			t.Fatal(err)
		}
		if faults, err := os.ReadFile(log); err != nil || len(faults) > 0 {
			t.Errorf("%s: %v\n%s%s", name, err, faults, out)
		}
		var got []string
		for _, found := range regexp.MustCompile(`priority (\d+)`).FindAllStringSubmatch(texts[name], -1) {
			got = append(got, found[1])
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: priorities %v, want %v", name, got, want)
		}
	}
	if out, err := servers.Output(t.Context(), "/bin/sh", "-n", filepath.Join(dir, "check-balancer.sh")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSystemdTakesTheService(t *testing.T) {
	dir, texts := render(t, edge.Systemd, shopSite())
	path := filepath.Join(dir, "doorbuster.service")
	here := strings.Replace(texts["doorbuster.service"], "ExecStart=/usr/local/bin/doorbuster", "ExecStart=/bin/true", 1)
	if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		if out, err := servers.Output(t.Context(), "systemd-analyze", "verify", path); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%v\n%s", err, out)
		}
	}
	for _, want := range []string{
		"LoadCredential=root-key:/etc/doorbuster/root-key\nEnvironment=DOORBUSTER_ROOT_KEY_FILE=%d/root-key\n", "TimeoutStopSec=35\n", "CapabilityBoundingSet=\n",
	} {
		if !strings.Contains(here, want) {
			t.Errorf("the service has no %q", want)
		}
	}
	for line := range strings.Lines(here) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), "="); line != "\n" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "[") && (!ok || !regexp.MustCompile(`^[A-Z]\w+$`).MatchString(name)) {
			t.Errorf("%q is no setting of a service", line)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "doorbuster.yaml")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the settings, which get passwords: %v, %v", info, err)
	}
}

func TestTheKernelKnowsEachOfItsSettings(t *testing.T) {
	_, texts := render(t, edge.Systemd, shopSite())
	known := 0
	for line := range strings.Lines(texts["sysctl.d/90-doorbuster.conf"]) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if strings.HasPrefix(line, "#") || line == "\n" {
			continue
		}
		if !ok || value == "" {
			t.Errorf("%q sets nothing", line)
		}
		if strings.HasPrefix(name, "-") || name == "net.core.netdev_max_backlog" { // not everywhere; a container does not show it
			continue
		}
		known++
		if _, err := os.Stat("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err != nil {
			t.Error(err)
		}
	}
	if known < 5 {
		t.Errorf("%d settings: nothing was tested", known)
	}
}
