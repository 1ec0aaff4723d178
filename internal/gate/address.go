package gate

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/gaissmai/bart"
)

// hopsMax bounds the walk along X-Forwarded-For: no sane chain of trusted
// proxies is longer.
const hopsMax = 32

// The length of the prefix that counts as one buyer's line, and of the one that
// a log may show, in IPv4 and IPv6.
const (
	keyBits4, keyBits6       = 32, 64
	redactBits4, redactBits6 = 24, 48
)

// Proxies knows whose X-Forwarded-For counts. The zero Proxies trusts nobody.
type Proxies struct {
	trusted *bart.Lite
}

// NewProxies trusts the addresses in prefixes.
func NewProxies(prefixes []netip.Prefix) *Proxies {
	trusted := &bart.Lite{}
	for _, prefix := range prefixes {
		trusted.Insert(prefix)
	}
	return &Proxies{trusted: trusted}
}

// ParsePrefixes reads prefixes and single addresses between commas. Empty text
// is none.
func ParsePrefixes(list string) ([]netip.Prefix, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var prefixes []netip.Prefix
	for entry := range strings.SplitSeq(list, ",") {
		prefix, err := parsePrefix(strings.TrimSpace(entry))
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func parsePrefix(entry string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(entry); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a prefix; write such as 10.0.0.0/8,fd00::/8,127.0.0.1", entry)
	}
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, fmt.Errorf("prefix %q has bits set behind its length; write %s, or the address alone", entry, masked)
	}
	if !prefix.Addr().Is4In6() {
		return prefix, nil
	}
	return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-v4InV6), nil
}

// Client returns the address that a request comes from: the peer, unless the
// peer is a trusted proxy. Then it walks the X-Forwarded-For lines, as they
// came, from the right, and the first address that is not trusted is the
// client. What stands further left is anybody's invention and is not read. A
// bad entry on the way means that the proxies are not what was configured:
// then it is the peer.
func (p *Proxies) Client(peer netip.Addr, forwarded [][]byte) netip.Addr {
	peer = plain(peer)
	if !p.trusts(peer) {
		return peer
	}
	client, hops := peer, 0
	for i := len(forwarded) - 1; i >= 0; i-- {
		for line, more := forwarded[i], true; more; hops++ {
			var entry []byte
			line, entry, more = cutLast(line)
			hop, ok := parseHop(entry)
			if !ok || hops == hopsMax {
				return peer
			}
			if !p.trusts(hop) {
				return hop
			}
			client = hop
		}
	}
	return client // every hop is ours, the first one asked
}

func (p *Proxies) trusts(addr netip.Addr) bool {
	return p.trusted != nil && p.trusted.Lookup(addr)
}

// cutLast cuts off what follows the last comma; more says whether there was
// one.
func cutLast(line []byte) (rest, last []byte, more bool) {
	comma := bytes.LastIndexByte(line, ',')
	if comma < 0 {
		return nil, line, false
	}
	return line[:comma], line[comma+1:], true
}

// parseHop reads an address as proxies write it: bare, or with a port.
func parseHop(entry []byte) (netip.Addr, bool) {
	entry = bytes.Trim(entry, " \t")
	if len(entry) == 0 {
		return netip.Addr{}, false
	}
	port := []byte(nil)
	if entry[0] == '[' { // [2001:db8::1] or [2001:db8::1]:443
		end := bytes.IndexByte(entry, ']')
		if end < 0 {
			return netip.Addr{}, false
		}
		entry, port = entry[1:end], entry[end+1:]
	} else if colon := bytes.IndexByte(entry, ':'); colon >= 0 && colon == bytes.LastIndexByte(entry, ':') {
		entry, port = entry[:colon], entry[colon:] // 192.0.2.1:443: IPv6 has two colons at least
	}
	if zone := bytes.IndexByte(entry, '%'); zone >= 0 {
		entry = entry[:zone]
	}
	addr, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(entry), len(entry))) //nolint:gosec // neither the address nor anything else keeps the text
	return plain(addr), err == nil && isPort(port)
}

// isPort reports whether text is empty or a colon and digits.
func isPort(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	return text[0] == ':' && len(text) > 1 && len(bytes.TrimLeft(text[1:], "0123456789")) == 0
}

// plain is the one spelling of an address: no IPv4 inside IPv6, no zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// AddressKey is what the limits count: a whole IPv4 address, or the /64 of an
// IPv6 address, which is one line however many addresses it has.
type AddressKey [16]byte

// KeyOf returns the key of an address.
func KeyOf(addr netip.Addr) AddressKey { return AddressKey(head(addr, keyBits4, keyBits6).As16()) }

// Redact returns what of an address a log may show: its IPv4 /24 or IPv6 /48.
func Redact(addr netip.Addr) string {
	addr = plain(addr)
	if !addr.IsValid() {
		return "unknown"
	}
	bits := redactBits6
	if addr.Is4() {
		bits = redactBits4
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

// head returns the address with all but its first bits cleared. An invalid one
// is ::, which all unknown peers share.
func head(addr netip.Addr, bits4, bits6 int) netip.Addr {
	addr = plain(addr)
	bits := bits6
	if addr.Is4() {
		bits = bits4
	}
	prefix, err := addr.Prefix(bits)
	if err != nil || !addr.IsValid() {
		return netip.IPv6Unspecified()
	}
	return prefix.Addr()
}

// Trusts reports whether addr is a trusted proxy: many buyers come from it.
func (p *Proxies) Trusts(addr netip.Addr) bool { return p.trusts(plain(addr)) }
