package edge

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"text/template"
	"time"
)

// Network is what the network layer of one machine is rendered from: what its
// interface sends is shared out by tc, what may knock is limited by nftables.
type Network struct {
	Interface string   // the one that buyers come in by, such as eth0
	Ports     []uint16 // that buyers come in at: the proxy's, or a node's own

	// Uplink is what the interface may send, in bits per second: a little less
	// than the line carries, so that the queue is here, where it is shared, and
	// not in a modem or switch, where it is not.
	Uplink           uint64
	OperatorsPercent int // of Uplink, kept for operators and their ports
	BuyersPercent    int // of Uplink, kept for answers from Ports; what remains is everything else's

	NewIPv4 Arrivals // for each IPv4 address
	NewIPv6 Arrivals // for each IPv6 /64, which is what one customer gets
	OpenMax int      // connections at once for each of the same; 0: not counted, nor tracked for it

	Trusted       []netip.Prefix // never limited: the CDN, the balancer, monitoring
	Operators     []netip.Prefix // never limited, and served first: operators, and the shop's own machines
	OperatorPorts []uint16       // answers from these are served first, whoever asks, such as SSH's

	AddressesMax int  // addresses remembered at a time, of each family
	SYNProxy     bool // the kernel finishes handshakes before a connection exists
}

// Arrivals is how fast new connections may come.
type Arrivals struct {
	PerSecond int
	Burst     int // that may come at once after a silence
}

// What a machine has unless it is told otherwise. The limits stand above the
// node's own (--limit-address), so that a buyer behind a shared address hears
// 429 from the node, and only a flood hears nothing.
const (
	defaultInterface        = "eth0"
	defaultUplink           = 950_000_000 // of a line of 1 Gbit/s
	defaultOperatorsPercent = 10
	defaultBuyersPercent    = 80
	defaultPerSecond        = 100
	defaultBurst            = 300    // 50 browsers behind one address, six connections each
	defaultOpenMax          = 1000   // those browsers, and a mobile network's share
	defaultAddressesMax     = 65_536 // 14 MB of kernel memory for each family when full
)

// DefaultNetwork returns the network layer of a machine with one public
// interface, HTTP, HTTPS and SSH.
func DefaultNetwork() Network {
	arrivals := Arrivals{PerSecond: defaultPerSecond, Burst: defaultBurst}
	return Network{
		Interface: defaultInterface, Ports: []uint16{80, 443},
		Uplink: defaultUplink, OperatorsPercent: defaultOperatorsPercent, BuyersPercent: defaultBuyersPercent,
		NewIPv4: arrivals, NewIPv6: arrivals, OpenMax: defaultOpenMax,
		OperatorPorts: []uint16{22}, AddressesMax: defaultAddressesMax,
	}
}

//go:embed templates/tc
var networkTemplates embed.FS

// networkFiles are written in this order; up.sh and down.sh are the two that
// people call.
func networkFiles(n Network) []File {
	const text, script = 0o644, 0o755
	files := []File{
		{Name: "up.sh", Mode: script},
		{Name: "down.sh", Mode: script},
		{Name: "tc-up.sh", Mode: script},
		{Name: "tc-down.sh", Mode: script},
		{Name: "doorbuster.nft", Mode: text},
	}
	if n.SYNProxy {
		files = append(files, File{Name: "synproxy.nft", Mode: text})
	}
	return files
}

// renderNetwork writes the scripts of tc and nftables, each with its undo.
func renderNetwork(n Network) ([]File, error) {
	if faults := n.check(); len(faults) > 0 {
		return nil, faults
	}
	all, err := template.ParseFS(networkTemplates, "templates/tc/*.tmpl")
	if err != nil {
		return nil, err
	}
	files := networkFiles(n)
	for i, file := range files {
		var text bytes.Buffer
		if err := all.ExecuteTemplate(&text, file.Name+".tmpl", networkView{n}); err != nil {
			return nil, fmt.Errorf("render %s: %w", file.Name, err)
		}
		files[i].Text = text.Bytes()
	}
	return files, nil
}

// networkView is a Network as the templates ask for it.
type networkView struct{ Network }

// class is a class of tc: whose traffic it carries, and which share of the line
// that has.
type class struct {
	ID            int // read as hexadecimal by tc
	Priority      int // who borrows first what others leave
	Rate, Ceiling uint64
	Queue         uint64 // bytes that wait at most, where the kernel has no fair queue
}

// The classes. Nothing waits behind a backup that takes the whole line: the
// rest borrows up to half.
const (
	operatorsClass = 10
	buyersClass    = 20
	restClass      = 30

	restCeilingPercent = 50
)

// Classes returns the classes of tc, those who are served first at the head.
func (v networkView) Classes() []class {
	rest := 100 - v.OperatorsPercent - v.BuyersPercent
	classes := []class{
		{ID: operatorsClass, Priority: 0, Rate: v.percent(v.OperatorsPercent), Ceiling: v.Uplink},
		{ID: buyersClass, Priority: 1, Rate: v.percent(v.BuyersPercent), Ceiling: v.Uplink},
		{ID: restClass, Priority: 2, Rate: v.percent(rest), Ceiling: v.percent(max(rest, restCeilingPercent))},
	}
	for i := range classes {
		classes[i].Queue = max(bytesIn(queueMax, classes[i].Rate), queueLeast)
	}
	return classes
}

const (
	queueMax   = 50 * time.Millisecond // a wait that nobody notices
	queueLeast = 128 << 10             // two packets of 64 KiB, as the kernel hands them down
	burstTime  = 2 * time.Millisecond  // a timer that is late by this loses nothing
	burstLeast = 10 * 1514             // ten frames; also what a class sends in its turn
)

// Burst is what may be sent at once after a silence, in bytes.
func (v networkView) Burst() uint64 { return max(bytesIn(burstTime, v.Uplink), burstLeast) }

// Quantum is what a class sends in its turn, in bytes.
func (networkView) Quantum() int { return burstLeast }

// Latency is how long a packet waits at most where there are no classes.
func (networkView) Latency() string { return fmt.Sprintf("%dms", queueMax.Milliseconds()) }

func (v networkView) percent(n int) uint64 { return v.Uplink / 100 * uint64(n) } //nolint:gosec // n is 1 to 98: checked

// bytesIn returns what bits per second carry in a time.
func bytesIn(d time.Duration, bits uint64) uint64 {
	return bits / 8 * uint64(d.Milliseconds()) / 1000 //nolint:gosec // of a constant
}

// Memory is how long an address that keeps silent is remembered. By then its
// burst is whole again, so forgetting it changes nothing for it.
func (a Arrivals) Memory() int { return a.Burst/a.PerSecond + 1 }

// TrustedIn returns the trusted prefixes of a family, 4 or 6.
func (v networkView) TrustedIn(family int) []netip.Prefix { return ofFamily(v.Trusted, family) }

// OperatorsIn returns the operators' prefixes of a family, 4 or 6.
func (v networkView) OperatorsIn(family int) []netip.Prefix { return ofFamily(v.Operators, family) }

func ofFamily(prefixes []netip.Prefix, family int) []netip.Prefix {
	var of []netip.Prefix
	for _, prefix := range prefixes {
		if prefix.Addr().Is4() == (family == 4) {
			of = append(of, prefix.Masked())
		}
	}
	return of
}
