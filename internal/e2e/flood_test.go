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
	floodBuyers  = 20_000   // each with a token
	floodStock   = 1 << 20  // units: more than are asked for, so that nobody is told to ask again
	floodWarm    = 2        // half of the requests come before the first measure: tables of fixed size are touched by then
	heapMax      = 8 << 20  // bytes that more is kept for ever at the second measure
	residentMax  = 64 << 20 // bytes that more is taken from the machine: the collector takes what it likes for a while
	goroutineMax = floodLines
	logMax       = 64 << 10 // bytes: strangers fill no log
)

// flood sends requests that nobody should send, and counts what comes back.
type flood struct {
	*street
	host     string
	seed     uint64
	tokens   []string // of so many buyers that the limits stop few of them
	next     atomic.Int64
	answered [600]atomic.Int64 // by status; 0: closed without an answer
	faults   chan string
}

// TestFlood sends a million fuzzed requests: no 5xx, no panic, no growth, no
// series of metrics of their own, and no secret in a log. Security lines 31, 32.
func TestFlood(t *testing.T) {
	n := serve(t, setup{})
	op := n.operator()
	f := &flood{street: newStreet(t, n, 8), host: strings.TrimPrefix(n.buyers, "http://"), seed: seed(t), faults: make(chan string, 32)}
	for i := range floodBuyers {
		f.tokens = append(f.tokens, f.shopper(t, fmt.Sprintf("%s-%d", canary, i)).bearer)
	}
	open := newSale("open", 1000, map[string]int64{"one": floodStock, "two": 0})
	open.Hold = "24h" // what is held stays out of the way
	op.publish(t, open)
	op.publish(t, newSale("closed", 1, map[string]int64{"one": 50}))
	op.move(t, "closed", "close")

	fresh := n.series()
	total := int64(number(t, "DOORBUSTER_FUZZ_REQUESTS", 1_000_000))
	began := time.Now()
	f.send(t, total/floodWarm)
	before := n.size(t)
	f.send(t, total-total/floodWarm)
	after := n.size(t)
	took := time.Since(began)

	t.Logf("%d requests in %s, %d a second", total, took.Round(time.Second), total*int64(time.Second)/int64(took))
	for status := range f.answered {
		if n := f.answered[status].Load(); n > 0 {
			t.Logf("  %8d × %d", n, status)
		}
	}
	t.Logf("heap %d → %d KiB, resident %d → %d MiB, goroutines %d → %d, log %d bytes",
		before.heap>>10, after.heap>>10, before.resident>>20, after.resident>>20, before.goroutines, after.goroutines, len(n.read()))
	if n.ended() {
		t.Fatalf("the node ended with %s", n.command.ProcessState)
	}
	if after.heap > before.heap+heapMax || after.resident > before.resident+residentMax || after.goroutines > before.goroutines+goroutineMax {
		t.Errorf("it grew: from %+v to %+v", before, after)
	}
	if now := n.series(); now != fresh || fresh == 0 {
		t.Errorf("there are %d series of metrics, and were %d: no request may add one", now, fresh)
	}
	if log := n.read(); len(log) > logMax {
		t.Errorf("the log has %d bytes, want %d at most", len(log), logMax)
	}
	if all := op.sale(t, "open").sum(); all.leak() != 0 || all.Sold+all.Held > floodStock {
		t.Errorf("units after the flood: %+v", all)
	}
	op.audit(t, "open")
	n.stop(t)
	n.audited(t)
}

// size is what a node takes.
type size struct{ heap, resident, goroutines int64 } // bytes, bytes, number

// size measures what a node keeps: rubbish is collected first.
func (n *node) size(t *testing.T) size {
	t.Helper()
	_, heap := n.health("/debug/pprof/heap?gc=1&debug=1")
	_, goroutines := n.health("/debug/pprof/goroutine?debug=1")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return size{
		heap: figure(t, heap, "# HeapAlloc = "), goroutines: figure(t, goroutines, "goroutine profile: total "),
		resident: figure(t, string(status), "VmRSS:") << 10,
	}
}

// series counts what a scrape brings.
func (n *node) series() (count int) {
	_, metrics := n.health("/metrics")
	for line := range strings.Lines(metrics) {
		if !strings.HasPrefix(line, "#") {
			count++
		}
	}
	return count
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
		g := &generator{rng: rng, tokens: f.tokens}
		lines.Go(func() { f.line(g, last) })
	}
	lines.Wait()
	for range len(f.faults) {
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
		f.answered[min(status, len(f.answered)-1)].Add(1)
		if status >= 500 {
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
