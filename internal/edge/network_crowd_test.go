package edge_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is more than a quiet client ever needs; a SYN that was dropped
// costs it a second, which shows.
const patience = 10 * time.Second

// calls is what quiet clients met with.
type calls struct {
	mu     sync.Mutex
	took   []time.Duration // of those that were served
	failed []error
}

func (c *calls) add(took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err)
		return
	}
	c.took = append(c.took, took)
}

func (c *calls) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.took) == 0 {
		return fmt.Sprintf("quiet: none of %d calls served", len(c.failed))
	}
	slices.Sort(c.took)
	at := func(percent int) time.Duration {
		return c.took[(len(c.took)-1)*percent/100].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("quiet: %d of %d calls failed, the others p50 %s, p99 %s, most %s", len(c.failed), len(c.failed)+len(c.took), at(50), at(99), at(100))
}

// delayed returns how many calls had a SYN dropped: they failed, or took long.
func (c *calls) delayed() int {
	n := len(c.failed)
	for _, took := range c.took {
		if took >= time.Second {
			n++
		}
	}
	return n
}

// quiet has the three quiet clients call a path of the shop until ctx ends, at
// a pace below every limit, over a new connection each time.
func (s *street) quiet(ctx context.Context, path string) *calls {
	var all calls
	var clients sync.WaitGroup
	for _, client := range quietOnes() {
		clients.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				begun := time.Now()
				err := s.get(client, path)
				all.add(time.Since(begun), err)
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	clients.Wait()
	return &all
}

// get asks the shop once, over a connection of its own.
func (s *street) get(client, path string) error {
	conn, err := s.dial(client, serverIPv4, shopPort)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n", path); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK {
		err = errors.Join(err, errors.New(answer.Status))
	}
	return errors.Join(err, answer.Body.Close())
}

// dial connects a client with the server.
func (s *street) dial(client, host string, port int) (conn net.Conn, err error) {
	err = s.inside(client, func() (err error) {
		conn, err = (&net.Dialer{Timeout: patience}).Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		return err
	})
	return conn, err
}

// raid is connections that one client asks for.
type raid struct {
	from  string       // the client
	by    []netip.Addr // its addresses, in turn; none: its first
	to    netip.Addr
	count int
	hold  time.Duration // after a second Linux sends a SYN again
	pace  time.Duration // between tens
}

// knock asks for connections as fast as its pace says, waits for none, and
// returns how many were finished.
func (s *street) knock(r raid) (finished int) {
	s.t.Helper()
	err := s.inside(r.from, func() (err error) {
		var open []attempt
		for i := 0; i < r.count || len(open) > 0; i++ {
			for len(open) > 0 && (i >= r.count || time.Since(open[0].at) > r.hold) {
				time.Sleep(r.hold - time.Since(open[0].at))
				if _, no := unix.Getpeername(open[0].socket); no == nil {
					finished++
				}
				if err := unix.Close(open[0].socket); err != nil {
					return err
				}
				open = open[1:]
			}
			if i >= r.count {
				continue
			}
			one, err := r.begin(i)
			if err != nil {
				return err
			}
			open = append(open, one)
			if i%10 == 9 {
				time.Sleep(r.pace)
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return finished
}

type attempt struct {
	socket int
	at     time.Time
}

func (r raid) begin(i int) (attempt, error) {
	family := unix.AF_INET
	if r.to.Is6() {
		family = unix.AF_INET6
	}
	socket, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return attempt{}, err
	}
	// Closing sends RST, and leaves nothing in TIME_WAIT.
	if err := unix.SetsockoptLinger(socket, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return attempt{}, err
	}
	if len(r.by) > 0 {
		if err := unix.Bind(socket, sockaddr(r.by[i%len(r.by)], 0)); err != nil {
			return attempt{}, err
		}
	}
	if err := unix.Connect(socket, sockaddr(r.to, shopPort)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return attempt{}, err
	}
	return attempt{socket, time.Now()}, nil
}

func sockaddr(address netip.Addr, port int) unix.Sockaddr {
	if address.Is6() {
		return &unix.SockaddrInet6{Addr: address.As16(), Port: port}
	}
	return &unix.SockaddrInet4{Addr: address.As4(), Port: port}
}

// flood sends count bare SYNs from the loud client, each from an address that
// from chooses, and never answers.
func (s *street) flood(count int, from func() netip.Addr) {
	s.t.Helper()
	err := s.inside(loud, func() error {
		socket, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		to := netip.MustParseAddr(serverIPv4)
		for i := range count {
			if err := unix.Sendto(socket, syn(from(), to), 0, sockaddr(to, 0)); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return errors.Join(err, unix.Close(socket))
			}
			if i%20 == 19 {
				time.Sleep(4 * time.Millisecond)
			}
		}
		return unix.Close(socket)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// syn is an IPv4 packet that asks for a connection.
func syn(from, to netip.Addr) []byte {
	const ip, tcp = 20, 24
	packet := make([]byte, ip+tcp)
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_TCP // length and checksum are the kernel's
	copy(packet[12:], from.AsSlice())
	copy(packet[16:], to.AsSlice())
	segment := packet[ip:]
	binary.BigEndian.PutUint16(segment, uint16(1024+rand.IntN(64_000)))
	binary.BigEndian.PutUint16(segment[2:], shopPort)
	binary.BigEndian.PutUint32(segment[4:], rand.Uint32())
	segment[12], segment[13] = tcp/4<<4, 0x02
	binary.BigEndian.PutUint16(segment[14:], 64_240)
	copy(segment[20:], []byte{2, 4, 0x05, 0xb4}) // MSS 1460
	pseudo := append(append([]byte{}, packet[12:20]...), 0, unix.IPPROTO_TCP, 0, tcp)
	var sum uint32
	for _, part := range [][]byte{pseudo, segment} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(segment[16:], ^uint16(sum))
	return packet
}

// unhurt wants that no quiet client failed, or had a SYN dropped.
func (s *street) unhurt(t *testing.T, met *calls) {
	t.Helper()
	for _, err := range met.failed {
		t.Errorf("a quiet client: %v", err)
	}
	for _, client := range quietOnes() {
		knocked, passed := s.seen("witness", "knocked_"+client), s.seen("witness", "passed_"+client)
		if passed != knocked || knocked == 0 {
			t.Errorf("%s: %d of %d SYNs passed, want all", client, passed, knocked)
		}
	}
}
