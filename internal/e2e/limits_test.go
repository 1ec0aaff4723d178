package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	fewFiles = 256 // of a node: for the stores, and half of them for buyers
	// tooMany connections want more files than a node has.
	tooMany = 2 * fewFiles
	// spinMax is the share of a core that a node may use which has nothing to do
	// but to turn connections away.
	spinMax = 0.5

	littleMemory = 64 << 20 // GOMEMLIMIT of a node
	usedMax      = littleMemory + 48<<20
	manyGuests   = 1500 // connections that a node with little memory serves
	hungryGuests = 12_000
)

// TestLimits gives one of two nodes few files and little memory.
func TestLimits(t *testing.T) {
	f := startFleet(t, servers.FleetOptions{Nodes: 1})
	r := f.rush(t)
	t.Run("256 open files", func(t *testing.T) { f.files(t, r) })
	t.Run("little memory, and then none", func(t *testing.T) { f.memory(t, r) })
	f.settled(t, r)
}

// beside starts one more node of a program.
func (f *fleet) beside(t *testing.T, program string, env ...string) *servers.Node {
	t.Helper()
	dir := filepath.Join(f.dir, fmt.Sprintf("node-%d", len(f.Nodes)+1))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n, err := servers.NewNode(servers.NodeOptions{Binary: program, Dir: dir, Env: append(f.Env(), env...)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	f.Nodes = append(f.Nodes, n)
	return n
}

// limited starts one more node as a shell with few files does.
func (f *fleet) limited(t *testing.T, files int) *servers.Node {
	t.Helper()
	script := filepath.Join(t.TempDir(), "limited")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", files, binary(t, crashing))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	n := f.beside(t, script)
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
	return n
}

// guest is a connection that stays open after one question.
type guest struct {
	net.Conn
	status int // 0: no answer yet
}

// enter connects and asks for something small.
func enter(n *servers.Node) (*guest, error) {
	c, err := net.DialTimeout("tcp", n.Buyers, time.Second)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: "+n.Buyers+"\r\n\r\n")
	return &guest{Conn: c}, err
}

// listen waits for the answer for so long.
func (g *guest) listen(limit time.Duration) error {
	_ = g.SetReadDeadline(time.Now().Add(limit))
	response, err := http.ReadResponse(bufio.NewReader(g), nil)
	if err != nil {
		return err
	}
	g.status = response.StatusCode
	return response.Body.Close()
}

// busy is the share of a core that a process used in a second.
func busy(t *testing.T, pid int) float64 {
	t.Helper()
	before, began := used(t, pid), time.Now()
	rest(t.Context(), time.Second)
	return (used(t, pid) - before).Seconds() / time.Since(began).Seconds()
}

// used is how long the processors have worked for a process.
func used(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	const perSecond = 100 // USER_HZ, the same on every Linux
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	for _, field := range fields[11:13] { // utime and stime
		n, _ := strconv.ParseInt(field, 10, 64)
		sum += time.Duration(n) * time.Second / perSecond
	}
	return sum
}

// limit changes a limit of a process that runs.
func limit(t *testing.T, n *servers.Node, what string) {
	t.Helper()
	if _, err := servers.Output(t.Context(), "prlimit", "--pid", strconv.Itoa(n.Process().PID()), what); err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) files(t *testing.T, r *rush) {
	n := f.limited(t, fewFiles)
	old := newStreetAt(t, "http://"+n.Buyers, 2) // who is inside already
	old.history = r.history
	buys := func(name string) {
		t.Helper()
		for i := range 5 {
			who := old.shopper(t, fmt.Sprintf("%s-%d", name, i))
			within(t, readyMax, func() error {
				if a := who.buy(t.Context(), wish{r.deep.ID, "k", "a", 1}); a.kind() != decided {
					return fmt.Errorf("%s: %s", who.name, a)
				}
				return nil
			})
		}
	}
	calm := func(when string) {
		t.Helper()
		if share := busy(t, n.Process().PID()); share > spinMax {
			t.Errorf("%s the node uses %.2f of a core for nothing", when, share)
		}
	}
	buys("before")

	var inside, turned int
	for range tooMany {
		g, err := enter(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Close() })
		switch err := g.listen(5 * time.Second); {
		case err != nil: // closed before it was asked
			turned++
		case g.status == http.StatusOK:
			inside++
		case g.status == http.StatusServiceUnavailable:
			turned++
		default:
			t.Fatalf("status %d", g.status)
		}
	}
	t.Logf("%d connections were served, %d turned away", inside, turned)
	if inside < fewFiles/4 || turned < tooMany-fewFiles {
		t.Errorf("of %d connections %d were served and %d turned away", tooMany, inside, turned)
	}
	calm("with the house full,")
	// The stores' connections are made anew, and find files.
	if _, err := f.Postgres.Ask(t.Context(), "doorbuster", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doorbuster'"); err != nil {
		t.Fatal(err)
	}
	f.Counter.CloseAll()
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
	buys("full")

	limit(t, n, "--nofile=3:") // what is open stays; not one more is opened
	late, err := enter(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = late.Close() })
	calm("without a file left,")
	buys("without a file")
	if err := late.listen(100 * time.Millisecond); err == nil {
		t.Error("a connection was accepted without a file: nothing was tested")
	}
	limit(t, n, fmt.Sprintf("--nofile=%d:", fewFiles))
	if err := late.listen(5 * time.Second); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("who waited hears nothing although there are files again")
	}
	buys("after")
}

// rushTo is the same rush at two nodes, the fleet's first and n.
func (f *fleet) rushTo(t *testing.T, r *rush, n *servers.Node) *rush {
	t.Helper()
	dir := filepath.Join(f.dir, "front")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	front, err := servers.StartNginx(t.Context(), dir, servers.Site(f.Nodes[0].Buyers, n.Buyers))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := front.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := newStreetAt(t, front.URL(), rushWorkers+4)
	s.history = r.history
	return newRushOn(t, s, r.op)
}

// status reads a line of /proc/PID/status, in bytes.
func status(t *testing.T, n *servers.Node, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.Process().PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int
		if _, err := fmt.Sscanf(line, name+": %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	t.Fatalf("no %s in the status", name)
	return 0
}

func (f *fleet) memory(t *testing.T, r *rush) {
	n := f.beside(t, binary(t, crashing), fmt.Sprintf("GOMEMLIMIT=%d", littleMemory))
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
	both := f.rushTo(t, r, n)
	var guests []*guest
	t.Cleanup(func() {
		for _, g := range guests {
			_ = g.Close()
		}
	})
	invite := func(count int) {
		for range count {
			g, err := enter(n)
			if err != nil {
				return
			}
			guests = append(guests, g)
		}
	}
	both.pressed(t, func() {
		invite(manyGuests)
		rest(t.Context(), 2*time.Second)
	})
	if peak := status(t, n, "VmHWM"); peak > usedMax {
		t.Errorf("the node has used %d MiB, told to use %d", peak>>20, littleMemory>>20)
	} else {
		t.Logf("the node has used %d MiB, told to use %d", peak>>20, littleMemory>>20)
	}

	since := r.history.tick()
	both.pressed(t, func() {
		limit(t, n, fmt.Sprintf("--data=%d:", status(t, n, "VmData"))) // not one page more
		invite(hungryGuests)
		select {
		case <-n.Process().Exited():
		case <-time.After(readyMax):
			t.Errorf("a node without memory lives: %d MiB", status(t, n, "VmData")>>20)
		}
		rest(t.Context(), time.Second) // the other node sells on
		f.dismiss(t, n)
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		f.sellsAgain(t, r)
	})
	sold := 0
	r.history.each(func(_ claim, answers []*answer) {
		for _, a := range answers {
			if a.sent > since && a.status == http.StatusCreated {
				sold++
			}
		}
	})
	if sold == 0 {
		t.Error("nobody bought anything while one node was dead")
	}
}

// dismiss wants a node to have died for want of memory, and takes what the
// runtime says then, with all its goroutines, out of the log.
func (f *fleet) dismiss(t *testing.T, n *servers.Node) {
	t.Helper()
	text, err := os.ReadFile(n.Log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "out of memory") && !strings.Contains(string(text), "cannot allocate memory") {
		t.Errorf("the node has not died of hunger: %s", n.Process().Said())
	}
	for i, secret := range []string{buyerKey, adminToken, fleetRootKey, canary} {
		if strings.Contains(string(text), secret) {
			t.Errorf("its last words have number %d of the secrets", i)
		}
	}
	if err := os.Truncate(n.Log, 0); err != nil {
		t.Fatal(err)
	}
}
