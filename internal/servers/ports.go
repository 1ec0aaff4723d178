package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	// Servers listen below the ports that the kernel gives to clients, which
	// begin at 32768 (net.ipv4.ip_local_port_range).
	firstPort = 12_000

	// busAbove is from a Redis node's port to that of its cluster's bus. All ports
	// that are given out lie in the first so many, so each has its bus's.
	busAbove = 10_000

	// A block of ports is one process's, and there may be so many processes at
	// once: packages under test, in several checkouts.
	blockSize = 250
	blocks    = busAbove / blockSize
)

// ports gives out ports that nobody uses, and nobody else is given. To look who
// listens is not enough: between the look and the start of the server that the port
// is for, others look as well, in this process and in those beside it.
type ports struct {
	mu    sync.Mutex
	claim net.Listener // on the block's first port, as long as the process runs
	first int          // of the block
	given int          // a port comes again when all others of the block have
}

var free ports //nolint:gochecknoglobals // a block belongs to the process, so its ports have one home

// FreeAddress returns a loopback address that nobody listens on and that no
// other call was given lately. The port above it that a Redis Cluster's bus takes
// is as free.
func FreeAddress() (string, error) { return free.address() }

func (p *ports) address() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.own(); err != nil {
		return "", err
	}
	for range blockSize - 1 {
		port := p.first + 1 + p.given%(blockSize-1)
		p.given++
		if unused(port) && unused(port+busAbove) {
			return loopback(port), nil
		}
	}
	return "", fmt.Errorf("no free port between %d and %d", p.first, p.first+blockSize)
}

// own takes a block that no other process has. The kernel gives it back when this
// one ends, however it ends.
func (p *ports) own() error {
	if p.claim != nil {
		return nil
	}
	begin := rand.IntN(blocks) // or all that start now would meet at each block in turn
	for i := range blocks {
		first := firstPort + (begin+i)%blocks*blockSize
		listener, err := net.Listen("tcp", loopback(first))
		if err == nil {
			p.claim, p.first = listener, first
			return nil
		}
	}
	return errors.New("every block of ports between 12000 and 22000 has its process: end some")
}

func unused(port int) bool {
	listener, err := net.Listen("tcp", loopback(port))
	return err == nil && listener.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
