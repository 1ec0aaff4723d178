package web

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
)

// Bounds of connections, unless the options say otherwise.
const (
	// ConnsMax keeps 16 KiB of buffers per connection under 300 MB, and stays
	// under the usual limit of open files.
	ConnsMax = 16_000
	// ConnsPerAddressMax is generous: whole universities share an address.
	ConnsPerAddressMax = 8_000
)

// hall is the listener with a bounded number of places.
type hall struct {
	net.Listener
	clock      func() time.Time
	spares     func(netip.Addr) bool // proxies, and those on the allow list, bring many buyers over few addresses
	max        int
	perAddress int
	quick      func(c *conn, p, into []byte) (int, []byte)
	room       *sync.Pool
	full       noPlace
	crowded    noPlace

	mu sync.Mutex
	in int
	by map[gate.AddressKey]int // only addresses that are inside
}

// noPlace is the answer to those who find no place, and who counts it.
type noPlace struct {
	answer []byte
	count  *atomic.Uint64
}

func newHall(listener net.Listener, d *Door, full, crowded []byte) *hall {
	return &hall{
		Listener: listener, clock: d.Wall, spares: func(peer netip.Addr) bool { return d.Gate.Proxies.Trusts(peer) || d.Gate.Lists.Allows(peer) },
		max: d.Options.ConnsMax, perAddress: d.Options.ConnsPerAddressMax,
		quick: d.quick, room: &d.answers,
		full: noPlace{full, &d.Counts.NoPlace}, crowded: noPlace{crowded, &d.Counts.NoPlaceForAddress},
		by: map[gate.AddressKey]int{},
	}
}

// Accept returns the next connection that finds a place.
func (h *hall) Accept() (net.Conn, error) {
	for {
		raw, err := h.Listener.Accept()
		if passing(err) {
			<-time.NewTimer(acceptRest).C
			continue
		}
		if err != nil {
			return nil, err
		}
		peer := addressOf(raw)
		counted := !h.spares(peer)
		no := h.enter(peer, counted)
		if no == nil {
			return &conn{Conn: raw, peer: peer, clock: h.clock, hall: h, leave: func() { h.leave(peer, counted) }}, nil
		}
		no.count.Add(1)
		_ = raw.SetWriteDeadline(h.clock().Add(writeMax)) // never waits: nothing was sent yet
		_, _ = raw.Write(no.answer)
		_ = raw.Close()
	}
}

// acceptRest is the pause after a connection that the system could not hand
// over: whoever waits goes on waiting, and the loop does not spin.
const acceptRest = 50 * time.Millisecond

// passing reports an error of accepting that says nothing of the listener: the
// caller has left, or the process or the machine is out of something that comes
// back, such as file descriptors.
func passing(err error) bool {
	for _, fault := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
	} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

// enter takes a place, or returns what is said instead.
func (h *hall) enter(peer netip.Addr, counted bool) *noPlace {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in >= h.max {
		return &h.full
	}
	if counted {
		key := gate.KeyOf(peer)
		if h.by[key] >= h.perAddress {
			return &h.crowded
		}
		h.by[key]++
	}
	h.in++
	return nil
}

func (h *hall) leave(peer netip.Addr, counted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in--
	if !counted {
		return
	}
	key := gate.KeyOf(peer)
	if h.by[key]--; h.by[key] == 0 {
		delete(h.by, key)
	}
}

func addressOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}
