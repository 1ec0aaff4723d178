package web

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
)

// lacking is a listener that fails before each connection.
type lacking struct {
	*pipes
	faults []error
}

func (l *lacking) Accept() (net.Conn, error) {
	if len(l.faults) == 0 {
		return l.pipes.Accept()
	}
	fault := l.faults[0]
	l.faults = l.faults[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", fault)}
}

func TestALackOfFilesIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &lacking{
			pipes:  &pipes{calls: make(chan net.Conn, 1), closed: make(chan struct{})},
			faults: []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED},
		}
		h := &hall{
			Listener: p, clock: time.Now, spares: func(netip.Addr) bool { return false },
			max: 1, perAddress: 1, by: map[gate.AddressKey]int{},
		}
		want, began := time.Duration(len(p.faults))*acceptRest, time.Now()
		ours := p.dial()
		theirs, err := h.Accept()
		must(t, err)
		if took := time.Since(began); took != want {
			t.Errorf("accepted after %s, want a pause after each fault: %s", took, want)
		}
		must(t, errors.Join(ours.Close(), theirs.Close()))
		p.faults = []error{syscall.EBADF}
		if _, err := h.Accept(); !errors.Is(err, syscall.EBADF) {
			t.Errorf("error is %v: a listener that is broken must end its server", err)
		}
	})
}
