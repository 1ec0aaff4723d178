package edge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/doorbuster/doorbuster/internal/edge"
)

// street is a server and clients in network namespaces of their own, with a
// switch between them.
type street struct {
	t       *testing.T
	name    string // of its namespaces, before each one's own
	folder  string // of the scripts
	network edge.Network
}

// Where the server is, and what it calls its interface.
const (
	serverIPv4 = "10.77.0.1"
	serverIPv6 = "fd77::1"
	uplink     = "shop0"
	shopPort   = 8080
	sshPort    = 2222
)

// Who is there.
const (
	server = "server"
	loud   = "c4"
)

func quietOnes() []string { return []string{"c1", "c2", "c3"} }

func ipv4(client string) string { return "10.77.0.1" + client[1:] }

// Each client has a /64 of its own, in one /48 that is on the line.
func ipv6(client string, n int) string { return fmt.Sprintf("fd77:0:0:%s::%x", client[1:], n) }

func networkOfTheStreet() edge.Network {
	n := edge.DefaultNetwork()
	n.Interface, n.Ports, n.OperatorPorts = uplink, []uint16{shopPort}, []uint16{sshPort}
	return n
}

//nolint:gochecknoglobals // streets of one process must not share a name
var streets atomic.Int64

// buildStreet makes the namespaces, without the network layer.
func buildStreet(t *testing.T, network edge.Network) *street {
	t.Helper()
	if testing.Short() {
		t.Skip("makes network namespaces, as root; left to make race")
	}
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root")
	}
	s := &street{
		t: t, name: fmt.Sprintf("doorbuster-%d-%d-", os.Getpid(), streets.Add(1)), folder: t.TempDir(), network: network,
	}
	s.render(network)
	for _, who := range append(quietOnes(), loud, server, "switch") {
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.name+who).Run() })
		s.ip("netns", "add", s.name+who)
		s.ip("-n", s.name+who, "link", "set", "lo", "up")
	}
	s.ip("-n", s.name+"switch", "link", "add", "bridge", "type", "bridge")
	s.ip("-n", s.name+"switch", "link", "set", "bridge", "up")
	s.plug(server, uplink, serverIPv4, serverIPv6)
	for _, client := range append(quietOnes(), loud) {
		s.plug(client, "eth0", ipv4(client), ipv6(client, 1))
	}
	return s
}

func (s *street) plug(who, device, v4, v6 string) {
	s.t.Helper()
	port := "to-" + who
	s.ip("-n", s.name+"switch", "link", "add", port, "type", "veth", "peer", "name", device, "netns", s.name+who)
	s.ip("-n", s.name+"switch", "link", "set", port, "master", "bridge", "up")
	s.ip("-n", s.name+who, "addr", "add", v4+"/16", "dev", device)
	s.ip("-n", s.name+who, "addr", "add", v6+"/48", "dev", device, "nodad")
	s.ip("-n", s.name+who, "link", "set", device, "up")
}

func (s *street) ip(args ...string) {
	s.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// render writes the scripts into the street's folder.
func (s *street) render(network edge.Network) {
	s.t.Helper()
	files, err := edge.Render(edge.TC, edge.Site{Network: network})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(s.folder, file.Name), file.Text, file.Mode); err != nil {
			s.t.Fatal(err)
		}
	}
}

// command is a program beside the server; more is added to its environment.
func (s *street) command(more []string, args ...string) *exec.Cmd {
	command := exec.Command("ip", append([]string{"netns", "exec", s.name + server}, args...)...)
	command.Env = append(append(os.Environ(), "DOORBUSTER_EDGE_STATE="+filepath.Join(s.folder, "state")), more...)
	return command
}

// run runs a program beside the server to its end.
func (s *street) run(args ...string) string {
	s.t.Helper()
	out, err := s.command(nil, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// script runs one of the rendered ones.
func (s *street) script(name string) string {
	s.t.Helper()
	return s.run(filepath.Join(s.folder, name))
}

// nft loads rules beside a client or the server.
func (s *street) nft(who, rules string) {
	s.t.Helper()
	command := exec.Command("ip", "netns", "exec", s.name+who, "nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	if out, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("nft: %v\n%s", err, out)
	}
}

// witness counts SYNs in a table of its own: those that reach the machine,
// those that reach the program. It does not rely on what it watches.
func (s *street) witness() {
	s.t.Helper()
	var counters, knocked, passed strings.Builder
	for name, match := range map[string]string{
		"c1": "ip saddr " + ipv4("c1"), "c2": "ip saddr " + ipv4("c2"), "c3": "ip saddr " + ipv4("c3"), "c4": "ip saddr " + ipv4("c4"),
		"forged": "ip saddr 198.18.0.0/15", "neighbours": "ip6 saddr " + ipv6(loud, 0) + "/64", "others": "ip6 saddr " + ipv6("c1", 0) + "/64",
	} {
		fmt.Fprintf(&counters, "counter knocked_%s { }\ncounter passed_%s { }\n", name, name)
		const rule = "tcp dport %d tcp flags & (syn | ack) == syn %s counter name %s_%s\n"
		fmt.Fprintf(&knocked, rule, shopPort, match, "knocked", name)
		fmt.Fprintf(&passed, rule, shopPort, match, "passed", name)
	}
	s.nft(server, "table inet witness {\n"+counters.String()+
		"chain knocked { type filter hook prerouting priority -400;\n"+knocked.String()+"}\n"+
		"chain passed { type filter hook input priority 100;\n"+passed.String()+"}\n}\n")
}

// seen returns what a counter of the witness, or of the layer, has counted.
func (s *street) seen(table, name string) int {
	s.t.Helper()
	var listed struct {
		Nftables []struct {
			Counter *struct{ Packets int }
		}
	}
	if err := json.Unmarshal([]byte(s.run("nft", "-j", "list", "counter", "inet", table, name)), &listed); err != nil {
		s.t.Fatal(err)
	}
	for _, object := range listed.Nftables {
		if object.Counter != nil {
			return object.Counter.Packets
		}
	}
	s.t.Fatalf("no counter %s in %s", name, table)
	return 0
}

// inside runs do in somebody's namespace. Its sockets stay there.
func (s *street) inside(who string, do func() error) error {
	runtime.LockOSThread()
	ours, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer func() { _ = ours.Close() }()
	theirs, err := os.Open("/run/netns/" + s.name + who)
	if err != nil {
		return err
	}
	defer func() { _ = theirs.Close() }()
	if err := unix.Setns(int(theirs.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = do()
	if back := unix.Setns(int(ours.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // still locked: nothing else may run here
	}
	runtime.UnlockOSThread()
	return err
}

// serve accepts at a port of the server, and hands on each connection.
func (s *street) serve(port int, handle func(net.Conn)) {
	s.t.Helper()
	err := s.inside(server, func() error {
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port))))
		if err != nil {
			return err
		}
		var serving sync.WaitGroup
		serving.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				serving.Go(func() {
					stop := context.AfterFunc(s.t.Context(), func() { _ = conn.Close() })
					defer stop()
					handle(conn)
				})
			}
		})
		s.t.Cleanup(func() {
			_ = listener.Close()
			serving.Wait()
		})
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// state is all that the layer could have left behind.
func (s *street) state() string {
	s.t.Helper()
	var all bytes.Buffer
	for _, command := range []string{
		"nft -s list ruleset", "tc qdisc show", "tc class show dev " + uplink, "tc filter show dev " + uplink,
		"sysctl net.ipv4.tcp_syncookies",
	} {
		fmt.Fprintf(&all, "$ %s\n%s", command, s.run(strings.Fields(command)...))
	}
	return all.String()
}
