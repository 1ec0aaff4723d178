package edge_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestTheDefaultNetworkIsRendered(t *testing.T) {
	files, err := edge.Render(edge.TC, edge.Site{Network: edge.DefaultNetwork()})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, file.Name)
		if strings.Contains(string(file.Text), "<no value>") || len(file.Text) == 0 {
			t.Errorf("%s has holes:\n%s", file.Name, file.Text)
		}
		if script := strings.HasSuffix(file.Name, ".sh"); script != (file.Mode&0o100 != 0) {
			t.Errorf("%s has the mode %v", file.Name, file.Mode)
		}
	}
	if want := []string{"up.sh", "down.sh", "tc-up.sh", "tc-down.sh", "doorbuster.nft"}; !slices.Equal(names, want) {
		t.Errorf("rendered %q, want %q", names, want)
	}
}

func TestEveryFaultOfANetworkIsToldAtOnce(t *testing.T) {
	network := edge.Network{
		Interface: "eth0; reboot", Ports: []uint16{443, 0, 443}, OperatorPorts: make([]uint16, 65),
		Uplink: 999_999, OperatorsPercent: 50, BuyersPercent: 60,
		NewIPv4: edge.Arrivals{PerSecond: 0, Burst: 1}, NewIPv6: edge.Arrivals{PerSecond: 1, Burst: 1_000_001},
		OpenMax: -1, AddressesMax: 1,
		Trusted:   []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), {}, netip.MustParsePrefix("::ffff:192.0.2.0/120")},
		Operators: make([]netip.Prefix, 10_001),
	}
	_, err := edge.Render(edge.TC, edge.Site{Network: network})
	var faults shop.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("rendered with %v, want faults", err)
	}
	var fields []string
	for _, fault := range faults {
		fields = append(fields, strings.TrimPrefix(fault.Field, "--"))
	}
	want := []string{
		"interface", "port", "port", "operator-port", "uplink", "buyers-percent", "new-ipv4", "new-ipv6",
		"open-max", "addresses-max", "trusted", "trusted", "trusted", "operators",
	}
	if !slices.Equal(fields, want) {
		t.Errorf("faults of %q, want of %q\n%s", fields, want, faults.Error())
	}
}

func TestNoNameOfAnInterfaceIsMoreThanAName(t *testing.T) {
	for name, good := range map[string]bool{
		"eth0": true, "enp3s0f1.100": true, "wg-shop_1": true, "E": true,
		"": false, "-h": false, ".": false, "..": false, "a b": false, "a\nb": false, "$(id)": false, "`id`": false, `a"b`: false, "a'b": false,
		"a;b": false, "a/b": false, "a*": false, "größe": false, "a\x00b": false, "sixteen-letters1": false, "%d": false, "#": false, "{{.}}": false,
	} {
		network := edge.DefaultNetwork()
		network.Interface = name
		if _, err := edge.Render(edge.TC, edge.Site{Network: network}); (err == nil) != good {
			t.Errorf("an interface called %q: %v", name, err)
		}
	}
}

func TestWhatIsUndoneIsAsItWas(t *testing.T) {
	network := networkOfTheStreet()
	network.SYNProxy = true
	network.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	network.Operators = []netip.Prefix{netip.MustParsePrefix("10.77.0.13/16"), netip.MustParsePrefix("fd77::/48")}
	s := buildStreet(t, network)
	s.nft(server, "table inet theirs {\nset x { type ipv4_addr; }\nchain in { type filter hook input priority 0; tcp dport 25 drop; }\n}\n")
	s.run("sysctl", "-w", "net.ipv4.tcp_syncookies=0")
	before, loose := s.state(), s.run("sysctl", "net.netfilter.nf_conntrack_tcp_loose")

	s.script("down.sh") // nothing is there yet
	s.same(before, "after down.sh alone")
	s.script("up.sh")
	once := s.state()
	for _, part := range []string{"table inet theirs", "table inet doorbuster", "htb d00b:", "tcp_syncookies = 1", "synproxy mss 1460"} {
		if !strings.Contains(once, part) {
			t.Errorf("up, and there is no %q in\n%s", part, once)
		}
	}
	s.script("up.sh")
	s.same(once, "after a second up.sh")
	s.script("down.sh")
	s.same(before, "after down.sh")
	s.script("down.sh")
	s.same(before, "after a second down.sh")
	if kept, err := os.ReadDir(filepath.Join(s.folder, "state")); len(kept) > 0 || err != nil {
		t.Errorf("down.sh leaves %v, %v; want nothing kept", kept, err)
	}
	if now := s.run("sysctl", "net.netfilter.nf_conntrack_tcp_loose"); now != loose {
		t.Errorf("after down.sh: %s, want %s", now, loose)
	}
}

// same wants the machine to be as it was.
func (s *street) same(want, when string) {
	s.t.Helper()
	if got := s.state(); got != want {
		s.t.Errorf("%s the machine is\n%s\nwant\n%s", when, got, want)
	}
}

func TestAQueueThatSomebodyChoseStays(t *testing.T) {
	s := buildStreet(t, networkOfTheStreet())
	s.run("tc", "qdisc", "add", "dev", uplink, "root", "handle", "1:", "tbf", "rate", "1gbit", "burst", "100kb", "latency", "50ms")
	before := s.state()
	out, err := s.command(nil, filepath.Join(s.folder, "up.sh")).CombinedOutput()
	if want := uplink + " has a queue already that this could not restore"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("up.sh: %v\n%s\nwant an end with %q", err, out, want)
	}
	s.same(before, "after an up.sh that refused")
	s.script("down.sh")
	s.same(before, "after down.sh")
}

func TestAKernelThatLacksAQueueIsToldOf(t *testing.T) {
	s := buildStreet(t, networkOfTheStreet())
	before := s.state()
	for _, c := range []struct {
		lacks []string
		says  string
		fails bool
	}{
		{[]string{"fq_codel", "sfq"}, "this kernel has neither fq_codel nor sfq: plain queues", false},
		{[]string{"htb"}, "this kernel has no htb", false},
		{[]string{"htb", "tbf"}, "this kernel has neither htb nor tbf", true},
		{[]string{"bfifo", "fq_codel", "sfq"}, "Specified qdisc kind is unknown", true},
	} {
		out, err := s.command([]string{s.without(c.lacks...)}, filepath.Join(s.folder, "up.sh")).CombinedOutput()
		if (err != nil) != c.fails || !strings.Contains(string(out), c.says) {
			t.Errorf("without %q: %v\n%s\nwant a line with %q", c.lacks, err, out, c.says)
		}
		if c.fails {
			s.same(before, "after an up.sh that failed")
		}
		s.script("down.sh")
		s.same(before, "after down.sh")
	}
}

func TestWhoeverCannotRunAScriptIsToldWhy(t *testing.T) {
	s := buildStreet(t, networkOfTheStreet())
	bare := t.TempDir()
	for _, program := range []string{"id", "dirname", "nft"} {
		path, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(path, filepath.Join(bare, program))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	network := networkOfTheStreet()
	network.Interface = "nowhere0"
	elsewhere := *s
	elsewhere.folder = t.TempDir()
	elsewhere.render(network)
	for _, c := range []struct {
		street *street
		script string
		path   string
		says   string
	}{
		{s, "up.sh", bare, "there is no program tc; install iproute2"},
		{s, "tc-down.sh", bare, "there is no program tc; install iproute2"},
		{&elsewhere, "up.sh", os.Getenv("PATH"), "there is no interface nowhere0"},
	} {
		command := c.street.command([]string{"PATH=" + c.path}, "/bin/sh", filepath.Join(c.street.folder, c.script))
		if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v\n%s\nwant an end with %q", c.script, err, out, c.says)
		}
	}
	for _, script := range []string{"up.sh", "down.sh", "tc-up.sh", "tc-down.sh"} {
		file, err := os.Open(filepath.Join(s.folder, script))
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command("/bin/sh")
		command.Stdin, command.SysProcAttr = file, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), "only root may do this") {
			t.Errorf("%s as nobody: %v\n%s", script, err, out)
		}
		_ = file.Close()
	}
}
