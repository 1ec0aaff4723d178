package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/doorbuster/doorbuster/bench/load"
)

const (
	slowConns = 5000
	// slowOrders come in a second, few beside what a node decides: what is seen are
	// the slow connections, not a queue.
	slowOrders  = 500
	slowPeriods = 10 // 20 s of slow connections, and as long a time without
	slowIn      = 10 * time.Second
)

// slow is G3: how long orders take while connections that never finish their
// request come again whenever the node closes them.
func (b *bench) slow(ctx context.Context) ([]line, error) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	conns := min(slowConns, b.pool/10, int(files.Cur/4)) // the node needs as many
	s, err := b.openShop(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	l := line{what: fmt.Sprintf("order, %d/s arrive: p99 beside %d slow connections", slowOrders, conns), goal: atMost(25, "ms")} // E4's
	var calm, ratio spread
	closed := int64(0)
	for range b.reps {
		without, err := s.slowly()
		if err != nil {
			return nil, err
		}
		with, turned, err := s.besideSlow(ctx, conns)
		if err != nil {
			return nil, err
		}
		calm, ratio = append(calm, without), append(ratio, with/without)
		l.value, closed = append(l.value, with), closed+turned
	}
	l.figure = fmt.Sprintf("%s ms without them, %s ×; %d closed by their deadline", calm, ratio, closed)
	return []line{l}, nil
}

// besideSlow returns the 99th percentile while connections dawdle, in
// milliseconds, and how many of them the node closed.
func (s *shop) besideSlow(ctx context.Context, conns int) (p99 float64, closed int64, err error) {
	slow, kept := &load.Slow{}, make(chan error, 1)
	dawdling, stop := context.WithCancel(ctx)
	defer stop()
	order := []byte("POST /api/v1/sales/drop/orders HTTP/1.1\r\nHost: shop.example\r\n" + strings.Repeat("X-Slow: yes\r\n", 100))
	go func() { kept <- slow.Keep(dawdling, s.node.buyers, conns, order) }()
	for end := time.Now().Add(slowIn); slow.Open.Load() < int64(conns)*9/10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return 0, 0, fmt.Errorf("%d of %d slow connections are open after %s", slow.Open.Load(), conns, slowIn)
		}
	}
	p99, err = s.slowly()
	stop()
	if wrong := <-kept; err == nil {
		err = wrong
	}
	return p99, slow.Closed.Load(), err
}

// slowly returns the 99th percentile of orders that come one by one, in
// milliseconds.
func (s *shop) slowly() (float64, error) {
	histogram, err := s.trickle(slowOrders, slowPeriods*s.period)
	if err != nil {
		return 0, err
	}
	return float64(histogram.ValueAtQuantile(99)) / 1000, nil
}
