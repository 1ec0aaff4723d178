package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Bounds of the flood. What is small beside a million requests is no growth.
const (
	floodLines   = 64       // connections at once
	floodWarm    = 10       // a tenth of the requests come before the first measure
	growthMax    = 24 << 20 // bytes of memory between the measures
	goroutineMax = 16       // more of them after than before
	logMax       = 64 << 10 // bytes: strangers fill no log
)

// flood sends requests that nobody should send, and counts what comes back.
type flood struct {
	*street
	host     string
	seed     uint64
	secrets  []string // none may be printed
	next     atomic.Int64
	answered [6]atomic.Int64 // by the status's class; 0: closed without one
	faults   chan string
}

// TestFlood sends a million fuzzed requests: no 5xx, no panic, no growth, and
// no secret in a log.
func TestFlood(t *testing.T) {
	n := serve(t, setup{})
	op := n.operator()
	f := &flood{street: newStreet(t, n, 8), host: strings.TrimPrefix(n.buyers, "http://"), seed: seed(t), faults: make(chan string, 32)}
	op.publish(t, newSale("open", 3, map[string]int64{"one": 50, "two": 0}))
	op.publish(t, newSale("closed", 3, map[string]int64{"one": 50}))
	op.move(t, "closed", "close")

	total := int64(number(t, "DOORBUSTER_FUZZ_REQUESTS", 1_000_000))
	began := time.Now()
	f.send(t, total/floodWarm)
	before := n.size(t)
	f.send(t, total-total/floodWarm)
	after := n.size(t)
	took := time.Since(began)

	t.Logf("%d requests in %s: %d × 2xx, %d × 3xx, %d × 4xx, %d × 5xx, %d × closed; %d s⁻¹", total, took.Round(time.Second),
		f.answered[2].Load(), f.answered[3].Load(), f.answered[4].Load(), f.answered[5].Load(), f.answered[0].Load(), total*int64(time.Second)/int64(took))
	t.Logf("memory %d → %d MiB, goroutines %d → %d, log %d bytes", before.memory>>20, after.memory>>20, before.goroutines, after.goroutines, len(n.read()))
	if n.ended() {
		t.Fatalf("the node ended with %s", n.command.ProcessState)
	}
	if after.memory > before.memory+growthMax {
		t.Errorf("memory grew by %d MiB, want %d at most", (after.memory-before.memory)>>20, growthMax>>20)
	}
	if after.goroutines > before.goroutines+goroutineMax {
		t.Errorf("goroutines grew from %d to %d", before.goroutines, after.goroutines)
	}
	f.silent(t, n)
	if all := op.sale(t, "open").sum(); all.leak() != 0 || all.Sold+all.Held > 50 {
		t.Errorf("units after the flood: %+v", all)
	}
	op.audit(t, "open")
	n.stop(t)
	n.audited(t)
}

// size is what a node takes.
type size struct {
	memory     int64 // bytes, resident
	goroutines int64
}

// size measures when nothing is under way: idle connections are closed first.
func (n *node) size(t *testing.T) size {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, profile := n.health("/debug/pprof/goroutine?debug=1")
	return size{memory: figure(t, string(status), "VmRSS:") << 10, goroutines: figure(t, profile, "goroutine profile: total ")}
}

// figure reads the number behind a label.
func figure(t *testing.T, text, label string) int64 {
	t.Helper()
	_, text, ok := strings.Cut(text, label)
	fields := strings.Fields(text)
	if !ok || len(fields) == 0 {
		t.Fatalf("no figure %q", label)
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// send sends so many requests over all lines, and waits for the answers.
func (f *flood) send(t *testing.T, count int64) {
	t.Helper()
	last := f.next.Load() + count
	var lines sync.WaitGroup
	for i := range floodLines {
		rng := rand.New(rand.NewPCG(f.seed+uint64(last), uint64(i)))
		g := f.generator(t, rng)
		lines.Go(func() { f.line(g, last) })
	}
	lines.Wait()
	close := len(f.faults)
	for range close {
		t.Error(<-f.faults)
	}
}

// line sends one request after another over one connection, or its
// successors: who sends nonsense is hung up on.
func (f *flood) line(g *generator, last int64) {
	var conn net.Conn
	var answers *bufio.Reader
	for f.next.Add(1) <= last {
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", f.host); err != nil {
				f.fault("dial: %v", err)
				return
			}
			answers = bufio.NewReaderSize(conn, 64<<10)
		}
		request, partial := g.request()
		status, open := exchange(conn, answers, request, partial)
		f.answered[status/100].Add(1)
		if status/100 == 5 {
			f.fault("status %d for %q", status, request)
		}
		if !open {
			_ = conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		_ = conn.Close()
	}
	f.next.Add(-1)
}

func (f *flood) fault(format string, args ...any) {
	select {
	case f.faults <- fmt.Sprintf(format, args...):
	default: // the first ones are enough
	}
}

// exchange sends a request and reads its answer. status 0: the server hung
// up; open: the connection can be used again.
func exchange(conn net.Conn, answers *bufio.Reader, request []byte, partial bool) (status int, open bool) {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(request); err != nil {
		return 0, false
	}
	if partial {
		if half, ok := conn.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}
	for {
		status, open, err := readAnswer(answers, bytes.HasPrefix(request, []byte("HEAD ")))
		if err != nil {
			return 0, false
		}
		if status != 100 {
			return status, open && !partial
		}
	}
}

// readAnswer reads one answer, with as little work as possible: a million
// come.
func readAnswer(answers *bufio.Reader, headless bool) (status int, open bool, err error) {
	line, err := answers.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, false, errors.New("not an HTTP answer")
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, false, errors.New("not an HTTP answer")
	}
	open = true
	length := 0
	for {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if value, ok := field(line, "content-length:"); ok {
			if length, err = strconv.Atoi(value); err != nil {
				return 0, false, errors.New("not an HTTP answer")
			}
		}
		if value, ok := field(line, "connection:"); ok && strings.EqualFold(value, "close") {
			open = false
		}
	}
	if headless || status == 204 || status == 304 || status < 200 {
		length = 0
	}
	_, err = io.CopyN(io.Discard, answers, int64(length))
	return status, open, err
}

func field(line []byte, name string) (string, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return "", false
	}
	return string(bytes.TrimSpace(line[len(name):])), true
}

// silent wants a short log in which no secret stands.
func (f *flood) silent(t *testing.T, n *node) {
	t.Helper()
	log := n.read()
	if len(log) > logMax {
		t.Errorf("the log has %d bytes, want %d at most", len(log), logMax)
	}
	for _, word := range []string{"panic", "goroutine "} {
		if strings.Contains(log, word) {
			t.Errorf("the log says %q", word)
		}
	}
	secrets := append([]string{buyerKey, adminToken, canary, "2001:db8:", "eyJ"}, f.secrets...)
	root, err := os.ReadFile(n.dir + "/root-key")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range append(secrets, strings.TrimSpace(string(root))) {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds a secret: %s…", secret[:4])
		}
	}
}
