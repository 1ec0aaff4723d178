package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Bounds of the slow crowd. The deadlines are those of the door (web/conn.go).
const (
	slowConns   = 5000
	slowTime    = 20 * time.Second
	slowPause   = time.Second      // between two bytes
	slowReadBy  = 5 * time.Second  // a whole request
	slowWriteBy = 10 * time.Second // an answer that nobody reads, after its request
	slowLate    = 10 * time.Second // a busy machine closes later, not never
	goodPause   = 10 * time.Millisecond
	goodWorkers = 8
)

// manner is how a slow connection keeps its place.
type manner struct {
	name  string
	head  string // said at once
	drip  string // said byte by byte; empty: nothing more
	until time.Duration
}

func manners(host string) []manner {
	order := "POST /api/v1/sales/drop/orders HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n"
	return []manner{
		{name: "says nothing", until: slowReadBy},
		{name: "drips a header", drip: order + strings.Repeat("X-Slow: yes\r\n", 100), until: slowReadBy},
		{name: "drips a body", head: order + "Content-Length: 200\r\n\r\n", drip: strings.Repeat(" ", 200), until: slowReadBy},
		// More than the kernel keeps for one connection on either side.
		{name: "reads nothing", head: strings.Repeat("GET /s/drop HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 800), until: slowReadBy + slowWriteBy},
	}
}

// sloths keep places at a node as long as it lets them.
type sloths struct {
	host    string
	open    atomic.Int64
	closed  []atomic.Int64 // by manner
	mu      sync.Mutex
	longest []time.Duration
	faults  []string
}

// Security line 6.
func TestSlowConnectionsKeepNobodyOut(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	conns := min(slowConns, int(files.Cur/4)) // the node needs as many
	n := serve(t, setup{})
	op := n.operator()
	sale := newSale("drop", 1, map[string]int64{"one": 1 << 20})
	op.publish(t, sale)
	good := newStreet(t, n, goodWorkers)

	calm := good.shopFor(t, "calm", slowTime/4)
	s := &sloths{host: strings.TrimPrefix(n.buyers, "http://")}
	kinds := manners(s.host)
	s.closed, s.longest = make([]atomic.Int64, len(kinds)), make([]time.Duration, len(kinds))
	ctx, stop := context.WithTimeout(t.Context(), slowTime)
	defer stop()
	var crowd sync.WaitGroup
	for i := range conns {
		kind := i % (len(kinds) - 1)
		if i%50 == 0 {
			kind = len(kinds) - 1 // few: each makes the node write megabytes
		}
		crowd.Go(func() { s.keep(ctx, kind, &kinds[kind], i) })
	}
	within(t, readyMax, func() error {
		if open := s.open.Load(); open < int64(conns)*9/10 {
			return fmt.Errorf("%d of %d slow connections are open", open, conns)
		}
		return nil
	})
	pressed := good.shopFor(t, "pressed", slowTime*3/4)
	crowd.Wait()

	t.Logf("%d slow connections for %s; orders in %s without them, %s beside them", conns, slowTime, calm, pressed)
	for i := range kinds {
		t.Logf("  %-16s %6d closed, the longest after %s", kinds[i].name, s.closed[i].Load(), s.longest[i].Round(10*time.Millisecond))
		if s.closed[i].Load() == 0 {
			t.Errorf("no connection that %s was closed", kinds[i].name)
		}
	}
	for _, fault := range s.faults[:min(len(s.faults), 10)] {
		t.Error(fault)
	}
	n.stop(t)
	n.audited(t)
}

// keep holds one place for as long as ctx goes on: whenever the node closes the
// connection, another takes its place.
func (s *sloths) keep(ctx context.Context, kind int, m *manner, number int) {
	// Addresses of their own: from one, the limit of connections would stop them.
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(number>>8), byte(number))}
	dialer := &net.Dialer{LocalAddr: from, Timeout: slowTime, Control: smallWindow}
	for ctx.Err() == nil {
		c, err := dialer.DialContext(ctx, "tcp", s.host)
		if err != nil {
			if ctx.Err() == nil {
				s.blame("connect: %v", err)
			}
			return
		}
		s.open.Add(1)
		began := time.Now()
		closed := m.dawdle(ctx, c)
		s.open.Add(-1)
		_ = c.Close()
		if took := time.Since(began); closed {
			s.closed[kind].Add(1)
			s.note(kind, took)
			if took > m.until+slowLate {
				s.blame("a connection that %s was closed after %s, want %s", m.name, took, m.until)
			}
		} else if took > m.until+slowLate {
			s.blame("a connection that %s is still open after %s, want %s at most", m.name, took, m.until)
		}
	}
}

// smallWindow lets the kernel keep little of what nobody reads.
func smallWindow(_, _ string, raw syscall.RawConn) error {
	var err error
	if wrong := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	}); wrong != nil {
		return wrong
	}
	return err
}

// dawdle is slow until the node closes the connection, or ctx ends: false.
func (m *manner) dawdle(ctx context.Context, c net.Conn) (closed bool) {
	if _, err := io.WriteString(c, m.head); err != nil {
		return true
	}
	one := make([]byte, 1)
	for at := 0; ; at++ {
		if at < len(m.drip) {
			if _, err := io.WriteString(c, m.drip[at:at+1]); err != nil {
				return true
			}
		}
		if m.until > slowReadBy { // it reads nothing: only a write shows that the node has left
			if !rest(ctx, slowPause) {
				return false
			}
			if _, err := io.WriteString(c, "G"); err != nil {
				return true
			}
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(slowPause))
		if _, err := c.Read(one); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
	}
}

func (s *sloths) note(kind int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.longest[kind] = max(s.longest[kind], took)
}

func (s *sloths) blame(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// waits are how long orders took.
type waits []time.Duration

func (w waits) String() string {
	if len(w) == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %s, p99 %s (%d of them)", w.at(50), w.at(99), len(w))
}

// at returns what so many of a hundred took at most.
func (w waits) at(percent int) time.Duration {
	slices.Sort(w)
	return w[len(w)*percent/100].Round(100 * time.Microsecond)
}

// shopFor lets new buyers order for a time, one after another at each worker.
// Every one of them wants a 201.
func (s *street) shopFor(t *testing.T, name string, period time.Duration) waits {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), period)
	defer stop()
	var mu sync.Mutex
	var all waits
	var workers sync.WaitGroup
	for worker := range goodWorkers {
		workers.Go(func() {
			for turn := 0; rest(ctx, goodPause); turn++ {
				who := s.shopper(t, fmt.Sprintf("%s-%d-%d", name, worker, turn))
				a := who.buy(context.WithoutCancel(ctx), wish{sale: "drop", key: "k", sku: "one", quantity: 1})
				mu.Lock()
				all = append(all, a.took)
				mu.Unlock()
				if a.status != http.StatusCreated {
					t.Errorf("a good buyer hears %d %s, want 201", a.status, a.code)
				}
			}
		})
	}
	workers.Wait()
	if len(all) == 0 {
		t.Fatal("nobody ordered")
	}
	return all
}
