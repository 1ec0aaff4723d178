package edge_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/edge"
)

// pour sends for as long as somebody reads.
func pour(conn net.Conn) {
	for full := make([]byte, 32<<10); ; {
		if _, err := conn.Write(full); err != nil {
			_ = conn.Close()
			return
		}
	}
}

// drink reads all that a port of the server sends to a client, until over
// closes, and counts it.
func (s *street) drink(client string, port int, count *atomic.Int64, over <-chan struct{}) {
	conn, err := s.dial(client, serverIPv4, port)
	if err != nil {
		s.t.Error(err)
		return
	}
	go func() {
		<-over
		_ = conn.Close()
	}()
	for into := make([]byte, 32<<10); ; {
		n, err := conn.Read(into)
		count.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// downloads has eight connections of buyers and one of an operator read at
// once, and returns how many bytes each kind had, and in which time.
func (s *street) downloads() (buyers, operator int64, took time.Duration) {
	var toBuyers, toOperator atomic.Int64
	over := make(chan struct{})
	var reading sync.WaitGroup
	begun := time.Now()
	for i := range 8 {
		reading.Go(func() { s.drink([]string{"c1", loud}[i%2], shopPort, &toBuyers, over) })
	}
	reading.Go(func() { s.drink("c3", sshPort, &toOperator, over) })
	time.Sleep(4 * time.Second) // is measured, not awaited
	close(over)
	reading.Wait()
	return toBuyers.Load(), toOperator.Load(), time.Since(begun)
}

// without makes a tc that finds some queues missing in its kernel.
func (s *street) without(kinds ...string) (path string) {
	s.t.Helper()
	dir := s.t.TempDir()
	tc, err := exec.LookPath("tc")
	if err != nil {
		s.t.Fatal(err)
	}
	const wrapper = "#!/bin/sh\nfor word; do case $word in KINDS) echo 'Error: Specified qdisc kind is unknown.' >&2; exit 2 ;; esac; done\nexec TC \"$@\"\n"
	text := strings.NewReplacer("KINDS", strings.Join(kinds, "|"), "TC", tc).Replace(wrapper)
	if err := os.WriteFile(filepath.Join(dir, "tc"), []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH")
}

func TestOperatorsKeepTheirShareOfAFullLine(t *testing.T) {
	network := networkOfTheStreet()
	network.Uplink, network.OperatorsPercent, network.BuyersPercent = 20_000_000, 40, 50
	s := buildStreet(t, network)
	s.serve(shopPort, pour)
	s.serve(sshPort, pour)
	for _, c := range []struct {
		by   string
		env  []string
		says string
	}{
		{by: "tbf", env: []string{s.without("htb")}, says: "this kernel has no htb: tbf holds " + uplink},
		{by: "htb", says: "40 % are the operators', 50 % the buyers'"},
	} {
		out, err := s.command(c.env, filepath.Join(s.folder, "up.sh")).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.says) {
			t.Fatalf("up.sh: %v\n%s\nwant a line with %q", err, out, c.says)
		}
		buyers, operator, took := s.downloads()
		line := float64(network.Uplink) / 8 * took.Seconds()
		t.Logf("%s, a line of 20 Mbit/s, %s: buyers %.1f %%, operator %.1f %% of it", c.by,
			took.Round(time.Millisecond), 100*float64(buyers)/line, 100*float64(operator)/line)
		// Neither headers nor what waits in queues is counted, so less arrives.
		if sum := float64(buyers + operator); sum > line+float64(burstBytes) {
			t.Errorf("%s let %.0f bytes through, want at most %.0f", c.by, sum, line)
		}
		// Of whatever the machine managed to send, so that a slow one is no fault.
		if share := float64(operator) / float64(buyers+operator); c.by == "htb" && share < 0.3 {
			t.Errorf("one operator against eight downloads had %.0f %%, want 40 or a little less", 100*share)
		}
	}
}

// burstBytes is what a bucket of 20 Mbit/s may send at once.
const burstBytes = 10 * 1514

func TestTheRestIsHeldToItsCeiling(t *testing.T) {
	network := networkOfTheStreet()
	network.Uplink = 20_000_000
	s := buildStreet(t, network)
	const backupPort = 9000
	s.serve(backupPort, pour)
	s.script("up.sh")
	var count atomic.Int64
	over := make(chan struct{})
	begun := time.Now()
	time.AfterFunc(2*time.Second, func() { close(over) })
	s.drink("c1", backupPort, &count, over)
	ceiling := float64(network.Uplink) / 8 / 2 * time.Since(begun).Seconds()
	t.Logf("a backup alone on a line of 20 Mbit/s: %.1f Mbit/s", float64(count.Load())*8/1e6/time.Since(begun).Seconds())
	if got := float64(count.Load()); got > ceiling+burstBytes || got == 0 {
		t.Errorf("a backup had %.0f bytes, want some and at most %.0f, half of the line", got, ceiling)
	}
}

func TestPortsThatDockerMapsAreTheBuyersAllTheSame(t *testing.T) {
	network := networkOfTheStreet()
	network.NewIPv4 = edge.Arrivals{PerSecond: 10, Burst: 20}
	s := buildStreet(t, network)
	const containerPort = 9000
	s.nft(server, fmt.Sprintf("table ip docker {\nchain in { type nat hook prerouting priority dstnat; tcp dport %d redirect to :%d\n}\n}\n", shopPort, containerPort))
	s.serve(containerPort, pour)
	begun := time.Now()
	s.script("up.sh")
	var count atomic.Int64
	over := make(chan struct{})
	time.AfterFunc(500*time.Millisecond, func() { close(over) })
	s.drink("c1", shopPort, &count, over)
	if sent := s.sent("d00b:20"); sent < count.Load() || sent == 0 {
		t.Errorf("the buyers' class sent %d bytes, want at least the %d that arrived", sent, count.Load())
	}
	if sent := s.sent("d00b:10"); sent == 0 {
		t.Error("the operators' class sent nothing, want the answer to the client's ARP")
	}
	// The kernel's own packets to find its neighbours are some hundred bytes.
	if sent := s.sent("d00b:30"); sent > 10_000 {
		t.Errorf("the class of the rest sent %d bytes, want next to none", sent)
	}
	raid := raid{from: loud, to: netip.MustParseAddr(serverIPv4), count: 200, hold: 700 * time.Millisecond, pace: time.Millisecond}
	if finished, bound := s.knock(raid), most(network.NewIPv4, begun); finished > bound || finished < network.NewIPv4.Burst {
		t.Errorf("%d connections through a mapped port, want at most %d and a burst at least", finished, bound)
	}
}

// sent returns how many bytes a class of tc has sent.
func (s *street) sent(class string) int64 {
	s.t.Helper()
	listed := s.run("tc", "-s", "class", "show", "dev", uplink)
	found := regexp.MustCompile(`class htb ` + class + ` .*\n Sent (\d+) bytes`).FindStringSubmatch(listed)
	if found == nil {
		s.t.Fatalf("no class %s in\n%s", class, listed)
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
