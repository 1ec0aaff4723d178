package web

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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
	trusts     func(netip.Addr) bool // proxies bring many buyers over few addresses
	max        int
	perAddress int
	quick      func(c *conn, p, into []byte) (int, []byte)
	room       *sync.Pool
	full       []byte // the answers to those who find no place
	crowded    []byte
	turnedAway *atomic.Uint64

	mu sync.Mutex
	in int
	by map[gate.AddressKey]int // only addresses that are inside
}

func newHall(listener net.Listener, d *Door, full, crowded []byte) *hall {
	return &hall{
		Listener: listener, clock: d.Wall, trusts: d.Gate.Proxies.Trusts,
		max: d.Options.ConnsMax, perAddress: d.Options.ConnsPerAddressMax,
		quick: d.quick, room: &d.answers,
		full: full, crowded: crowded, turnedAway: &d.Counts.TurnedAway,
		by: map[gate.AddressKey]int{},
	}
}

// Accept returns the next connection that finds a place.
func (h *hall) Accept() (net.Conn, error) {
	for {
		raw, err := h.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := addressOf(raw)
		counted := !h.trusts(peer)
		answer := h.enter(peer, counted)
		if answer == nil {
			return &conn{Conn: raw, peer: peer, clock: h.clock, hall: h, leave: func() { h.leave(peer, counted) }}, nil
		}
		h.turnedAway.Add(1)
		_ = raw.SetWriteDeadline(h.clock().Add(writeMax)) // never waits: nothing was sent yet
		_, _ = raw.Write(answer)
		_ = raw.Close()
	}
}

// enter takes a place, or returns the answer to send instead.
func (h *hall) enter(peer netip.Addr, counted bool) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in >= h.max {
		return h.full
	}
	if counted {
		key := gate.KeyOf(peer)
		if h.by[key] >= h.perAddress {
			return h.crowded
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
