package gate

import "net/netip"

// What one network is taken to be: an IPv4 /24 or an IPv6 /56, and beyond it a
// site, which only IPv6 has: a /48 is what a tunnel broker gives away for
// nothing, with 65,536 keys of their own in it. An IPv4 network beyond /24 is a
// provider, and many strangers.
const (
	networkBits4, networkBits6 = 24, 56
	siteBits6                  = 48
	// siteTimes is how many times a network's rate a site may have.
	siteTimes = 2
	// widerShare divides the number of slots where keys are networks: there are
	// fewer of these.
	widerShare = 8
)

// Ladder limits what comes from an address and, with higher ceilings, from the
// network and the site that it lies in: whoever changes addresses within them
// gains little. A request takes from each or, refused by one, from none. nil
// limits nothing.
type Ladder struct {
	address, network, site *Limiter
}

// NewLadder makes a ladder: rate for an address, so many times as much for its
// network (0: no limit there), and room for so many addresses.
func NewLadder(rate Rate, network, slots int) *Ladder {
	if rate.Off() {
		return nil
	}
	l := &Ladder{address: NewLimiter(rate, slots)}
	if network > 0 {
		l.network = NewLimiter(rate.times(network), slots/widerShare)
		l.site = NewLimiter(rate.times(network*siteTimes), slots/widerShare)
	}
	return l
}

// rungKey is what a limiter counts by: what is asked for, then the prefix.
type rungKey [1 + len(AddressKey{})]byte

// keyFor cuts an address after whole bytes. An invalid one is ::, which all
// unknown peers share.
func keyFor(ask Ask, addr netip.Addr, bits4, bits6 int) (key rungKey) {
	bits := bits6
	if addr.Is4() {
		bits = v4InV6 + bits4
	}
	whole := addr.As16()
	key[0] = byte(ask)
	copy(key[1:], whole[:bits/8])
	return key
}

// v4InV6 is how long the prefix of IPv4 addresses inside IPv6 is.
const v4InV6 = 128 - 32

// rungs is how many steps a ladder has.
const rungs = 3

// rung returns a client's step, from the narrowest on; a limiter that is nil is
// off. client is plain.
func (l *Ladder) rung(i int, ask Ask, client netip.Addr) (*Limiter, rungKey) {
	switch {
	case i == 0:
		return l.address, keyFor(ask, client, keyBits4, keyBits6)
	case l.network == nil:
		return nil, rungKey{}
	case i == 1:
		return l.network, keyFor(ask, client, networkBits4, networkBits6)
	case client.Is4():
		return nil, rungKey{}
	}
	return l.site, keyFor(ask, client, keyBits4, siteBits6)
}

// take takes one request from each rung, or from none and returns which one
// refused, and how. For the moment in which a wider rung has not refused yet, the
// narrower ones are a request short: it can only refuse others who would be
// refused by the wider one, too.
func (l *Ladder) take(ask Ask, client netip.Addr, now int64) (refused int, err error) {
	if l == nil {
		return 0, nil
	}
	client = plain(client)
	for i := range rungs {
		limiter, key := l.rung(i, ask, client)
		ok, wait := limiter.Allow(key[:], now)
		if ok {
			continue
		}
		for taken := range i {
			narrower, key := l.rung(taken, ask, client)
			narrower.giveBack(key[:], now)
		}
		return i, limiter.refusal(wait)
	}
	return 0, nil
}
