package edge_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	salePath = "/s/rush/state.json"
	// filesMax leaves the program 872 places, so that it takes hundreds of idle
	// connections to fill it, and not 16,000.
	filesMax = "ulimit -n 1000; exec \"$0\" \"$@\""
)

// open starts the real program on the street, with a sale.
func (s *street) open() {
	s.t.Helper()
	dir := s.t.TempDir()
	program := filepath.Join(dir, "doorbuster")
	build := exec.Command("go", "build", "-o", program, "./cmd/doorbuster")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		s.t.Fatalf("build: %v\n%s", err, out)
	}
	sale := filepath.Join(dir, "rush.yaml")
	const text = "id: rush\ntitle: Rush\nopens_at: 2026-01-01T00:00:00Z\nitems:\n" +
		"  - {sku: unit, title: Unit, stock: 100, price: {amount: 100, currency: EUR}}\n"
	if err := os.WriteFile(sale, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	node, err := servers.Start(servers.Command{
		Name: "ip", Log: filepath.Join(dir, "log"),
		Args: []string{
			"netns", "exec", s.name + server, "sh", "-c", filesMax, program, "serve", "--listen", fmt.Sprintf("%s:%d", serverIPv4, shopPort),
			"--admin-listen", "127.0.0.1:8081", "--data", filepath.Join(dir, "data"), "--sale", sale,
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = node.Kill() })
	if err := node.Until(s.t.Context(), func() error { return s.get("c1", "/readyz") }); err != nil {
		s.t.Fatal(err)
	}
}

// answer starts a small server in place of the program.
func (s *street) answer() {
	s.t.Helper()
	s.serve(shopPort, func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		if _, err := conn.Read(make([]byte, 4096)); err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		}
	})
}

// during has the quiet clients call while noise is made.
func (s *street) during(path string, noise func()) *calls {
	ctx, stop := context.WithCancel(s.t.Context())
	met := make(chan *calls)
	go func() { met <- s.quiet(ctx, path) }()
	noise()
	stop()
	return <-met
}

// most is what may have passed since begun, by the limit.
func most(limit edge.Arrivals, begun time.Time) int {
	return limit.Burst + int(float64(limit.PerSecond)*time.Since(begun).Seconds()) + 1
}

func TestTheLoudOneIsHeldAndTheQuietOnesDoNotNotice(t *testing.T) {
	network := networkOfTheStreet()
	network.NewIPv4 = edge.Arrivals{PerSecond: 50, Burst: 100}
	s := buildStreet(t, network)
	s.open()
	raid := raid{from: loud, to: netip.MustParseAddr(serverIPv4), count: 9000, hold: 900 * time.Millisecond, pace: 2 * time.Millisecond}
	calm := s.during(salePath, func() { time.Sleep(3 * time.Second) }) // is measured, not awaited
	t.Logf("nobody is loud: %s", calm)
	for _, layer := range []bool{false, true} {
		s.witness()
		begun := time.Now()
		if layer {
			s.script("up.sh")
		}
		var finished int
		met := s.during(salePath, func() { finished = s.knock(raid) })
		knocked, passed := s.seen("witness", "knocked_"+loud), s.seen("witness", "passed_"+loud)
		bound := most(network.NewIPv4, begun)
		t.Logf("layer %t, %s: loud: %d asked for, %d SYNs passed, %d connections; %s",
			layer, time.Since(begun).Round(time.Millisecond), raid.count, passed, finished, met)
		if knocked < raid.count*9/10 {
			t.Errorf("%d SYNs of the loud one arrived, want %d or nearly", knocked, raid.count)
		}
		if !layer && passed != knocked {
			t.Errorf("without the layer %d of %d SYNs passed, want all", passed, knocked)
		}
		if layer && (passed > bound || finished > bound || passed < network.NewIPv4.Burst) {
			t.Errorf("%d SYNs passed and %d connections were finished, want at most %d and a burst at least", passed, finished, bound)
		}
		if layer {
			s.unhurt(t, met)
		}
		s.run("nft", "delete", "table", "inet", "witness")
	}
}

func TestSYNsOfOneAddressAreHeld(t *testing.T) {
	s := buildStreet(t, networkOfTheStreet())
	s.answer()
	s.witness()
	s.mute()
	begun := time.Now()
	s.script("up.sh")
	own := netip.MustParseAddr(ipv4(loud))
	met := s.during("/", func() { s.flood(synsMany, func() netip.Addr { return own }) })
	passed, bound := s.seen("witness", "passed_"+loud), most(s.network.NewIPv4, begun)
	t.Logf("%d SYNs in %s, %d passed, at most %d; %s", synsMany, time.Since(begun).Round(time.Millisecond), passed, bound, met)
	if passed > bound || passed < s.network.NewIPv4.Burst {
		t.Errorf("%d SYNs of one address passed, want at most %d and a burst at least", passed, bound)
	}
	s.unhurt(t, met)
}

// synsMany is three times what a listener keeps of unfinished connections.
const synsMany = 12_000

// mute lets nobody at the loud one's answer: neither its kernel for itself, nor
// for the forged addresses, to which the way back leads there.
func (s *street) mute() {
	s.t.Helper()
	s.run("ip", "route", "add", "198.18.0.0/15", "via", ipv4(loud))
	s.nft(loud, "table inet mute {\nchain in { type filter hook input priority 0; tcp flags & (syn | ack) == (syn | ack) drop\n}\n}\n")
}

func forged() netip.Addr {
	return netip.AddrFrom4([4]byte{198, byte(18 + rand.IntN(2)), byte(rand.IntN(256)), byte(rand.IntN(256))})
}

func TestForgedSYNsLockNobodyOut(t *testing.T) {
	for _, c := range []struct {
		name       string
		layer      bool
		synproxied bool
	}{{name: "nothing"}, {name: "cookies", layer: true}, {name: "synproxy", layer: true, synproxied: true}} {
		t.Run(c.name, func(t *testing.T) {
			network := networkOfTheStreet()
			network.SYNProxy = c.synproxied
			network.AddressesMax = 1024 // so that there is soon no room for one more
			s := buildStreet(t, network)
			s.answer()
			s.witness()
			s.mute()
			// Every buyer is new here: the kernel lets in those that it remembers.
			s.run("sysctl", "-w", "net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_no_metrics_save=1")
			said := ""
			if c.layer {
				said = s.script("up.sh")
			}
			begun := time.Now()
			met := s.during("/", func() { s.flood(synsMany, forged) })
			knocked, tracked := s.seen("witness", "knocked_forged"), s.tracked()
			t.Logf("%d SYNs in %s, %d connections tracked; %s", synsMany, time.Since(begun).Round(time.Millisecond), tracked, met)
			if knocked < synsMany*9/10 {
				t.Errorf("%d forged SYNs arrived, want %d or nearly", knocked, synsMany)
			}
			if c.synproxied && tracked > len(met.took)+knocked/10 {
				t.Errorf("%d connections tracked after %d forged SYNs, want those of %d calls\n%s", tracked, knocked, len(met.took), said)
			}
			for _, err := range met.failed {
				if c.layer {
					t.Errorf("a quiet client: %v", err)
				}
			}
			if !c.layer && met.delayed() == 0 {
				t.Error("nobody was kept waiting without the layer: the flood is none")
			}
		})
	}
}

// tracked returns how many connections the server's kernel keeps.
func (s *street) tracked() int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s.run("sysctl", "-n", "net.netfilter.nf_conntrack_count")))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestAddressesOfOneIPv6PrefixShareABucket(t *testing.T) {
	network := networkOfTheStreet()
	network.NewIPv6 = edge.Arrivals{PerSecond: 10, Burst: 40}
	s := buildStreet(t, network)
	s.answer()
	s.witness()
	var rotating []netip.Addr
	for i := range 50 {
		address := ipv6(loud, 0x100+i)
		s.ip("-n", s.name+loud, "addr", "add", address+"/48", "dev", "eth0", "nodad")
		rotating = append(rotating, netip.MustParseAddr(address))
	}
	begun := time.Now()
	s.script("up.sh")
	to := netip.MustParseAddr(serverIPv6)
	finished := s.knock(raid{from: loud, by: rotating, to: to, count: 1000, hold: 700 * time.Millisecond, pace: time.Millisecond})
	passed, bound := s.seen("witness", "passed_neighbours"), most(network.NewIPv6, begun)
	t.Logf("50 addresses of a /64, %d SYNs: %d passed, %d connections, at most %d", s.seen("witness", "knocked_neighbours"), passed, finished, bound)
	if passed > bound || finished > bound || passed < network.NewIPv6.Burst {
		t.Errorf("%d SYNs passed, %d connections, want at most %d and a burst at least", passed, finished, bound)
	}
	other := raid{from: "c1", to: to, count: network.NewIPv6.Burst, hold: 700 * time.Millisecond}
	if finished := s.knock(other); finished != other.count {
		t.Errorf("another /64 had %d of %d connections, want all", finished, other.count)
	}
}

func TestTrustedAndOperatorsAreExempt(t *testing.T) {
	network := networkOfTheStreet()
	network.NewIPv4 = edge.Arrivals{PerSecond: 1, Burst: 10}
	network.OpenMax = 10
	network.Trusted = []netip.Prefix{netip.MustParsePrefix(ipv4("c1") + "/32"), netip.MustParsePrefix("10.78.0.0/16"), netip.MustParsePrefix("10.78.1.0/24")}
	network.Operators = []netip.Prefix{netip.MustParsePrefix(ipv4("c2") + "/32")}
	s := buildStreet(t, network)
	s.serve(shopPort, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)); _ = conn.Close() })
	s.script("up.sh")
	for client, limited := range map[string]bool{"c1": false, "c2": false, loud: true} {
		begun := time.Now()
		finished := s.knock(raid{from: client, to: netip.MustParseAddr(serverIPv4), count: 200, hold: 700 * time.Millisecond, pace: time.Millisecond})
		if bound := most(network.NewIPv4, begun); limited && finished > bound {
			t.Errorf("%s, whom nobody trusts, had %d connections, want at most %d", client, finished, bound)
		}
		if !limited && finished != 200 {
			t.Errorf("%s is exempt and had %d connections, want 200", client, finished)
		}
	}
}

func TestConnectionsAtOnceAreBounded(t *testing.T) {
	network := networkOfTheStreet()
	network.OpenMax = 30
	s := buildStreet(t, network)
	s.serve(shopPort, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)); _ = conn.Close() })
	s.script("up.sh")
	for _, to := range []string{serverIPv4, serverIPv6} {
		// All of them ask before the first leaves, also on a machine that stalls.
		crowd := raid{from: loud, to: netip.MustParseAddr(to), count: 200, hold: 2 * time.Second}
		if finished := s.knock(crowd); finished != network.OpenMax {
			t.Errorf("%d connections to %s at once, want %d", finished, to, network.OpenMax)
		}
	}
	if many := s.seen("doorbuster", "too_many"); many < 2*(200-network.OpenMax) {
		t.Errorf("too_many counts %d, want %d or more: SYNs are sent again", many, 2*(200-network.OpenMax))
	}
}
