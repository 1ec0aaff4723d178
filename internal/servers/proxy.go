package servers

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// dialMax bounds the wait for the server behind a proxy. It is on the loopback.
const dialMax = time.Second

// Proxy is a TCP proxy in this process whose link can be made slow, dead,
// silent or lossy.
type Proxy struct {
	Address string

	listener net.Listener
	all      sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed at each change of what follows
	target  string
	delay   time.Duration // before each piece is passed on, both ways
	cut     bool          // connections are closed and refused
	frozen  bool          // nothing passes, nothing ends
	drops   int           // so many more answers are swallowed, and their connections reset
	closed  bool
	links   map[*link]bool
}

// link is one client's connection and the one behind it.
type link struct{ client, server net.Conn }

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// reset ends the link as a crashed host would: with RST, not FIN.
func (l *link) reset() {
	if tcp, ok := l.client.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	l.close()
}

// StartProxy listens on a free port and passes everything on to target.
func StartProxy(ctx context.Context, target string) (*Proxy, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		Address: address, listener: listener, target: target,
		changed: make(chan struct{}), links: map[*link]bool{},
	}
	p.all.Go(p.accept)
	return p, nil
}

// change sets faults and wakes whoever waits for one to end.
func (p *Proxy) change(set func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set()
	close(p.changed)
	p.changed = make(chan struct{})
}

// SetDelay holds back each piece, both ways.
func (p *Proxy) SetDelay(d time.Duration) { p.change(func() { p.delay = d }) }

// Cut closes all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.change(func() { p.cut = true })
	p.CloseAll()
}

// Freeze swallows what comes without ending a connection: a half-open link.
// New connections are accepted and hear nothing.
func (p *Proxy) Freeze() { p.change(func() { p.frozen = true }) }

// DropReplies passes requests on and swallows the next so many answers. The
// connection of each is reset, as is all that is still on its way in it.
func (p *Proxy) DropReplies(count int) { p.change(func() { p.drops = count }) }

// Heal ends every fault. What was swallowed in a freeze stays so: those
// connections are closed.
func (p *Proxy) Heal() {
	var wasFrozen bool
	p.change(func() {
		wasFrozen = p.frozen
		p.cut, p.frozen, p.drops, p.delay = false, false, 0, 0
	})
	if wasFrozen {
		p.CloseAll()
	}
}

// Retarget sends new connections elsewhere and closes those that are.
func (p *Proxy) Retarget(target string) {
	p.change(func() { p.target = target })
	p.CloseAll()
}

// CloseAll resets the connections that are open now.
func (p *Proxy) CloseAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Close ends the proxy and waits for its goroutines.
func (p *Proxy) Close() error {
	p.change(func() { p.closed = true })
	err := p.listener.Close()
	p.CloseAll()
	p.all.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // one client's trouble
		}
		p.all.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	target, refused := p.target, p.cut || p.closed
	p.mu.Unlock()
	if refused {
		_ = client.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialMax)
	defer cancel()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server}
	if !p.enter(l) {
		l.reset()
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { p.pass(l, client, server, false) })
	ways.Go(func() { p.pass(l, server, client, true) })
	ways.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// enter notes a link, unless a cut or the end came meanwhile.
func (p *Proxy) enter(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		return false
	}
	p.links[l] = true
	return true
}

// pass copies one way until either end closes.
func (p *Proxy) pass(l *link, from, to net.Conn, reply bool) {
	defer l.close()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 && !p.hand(l, to, piece[:n], reply) {
			return
		}
		if err != nil {
			return
		}
	}
}

// hand passes one piece on as the faults of the moment have it. It reports
// whether the link lives.
func (p *Proxy) hand(l *link, to net.Conn, piece []byte, reply bool) bool {
	p.mu.Lock()
	delay, frozen, dropped, changed := p.delay, p.frozen, p.drops > 0 && reply, p.changed
	if dropped {
		p.drops--
	}
	p.mu.Unlock()
	if frozen {
		return true
	}
	if dropped {
		l.reset()
		return false
	}
	if delay > 0 {
		hold(delay, changed)
	}
	_, err := to.Write(piece)
	return err == nil
}

// hold waits, at most until the faults change.
func hold(delay time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	}
}
