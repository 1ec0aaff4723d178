package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/plan"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// deployTC has a flag for each field of edge.Network; nil is its default.
type deployTC struct {
	written
	Interface        string   `required:"" placeholder:"NAME" help:"The network interface that buyers come in by, such as eth0."`
	Port             []uint16 `placeholder:"PORT" help:"A port that buyers come in at; may be repeated. Default: 80 and 443."`
	Uplink           *string  `placeholder:"BITS" help:"What the interface may send in bits a second, such as 950M: a little less than the line carries. Default: 950M."`
	OperatorsPercent *int     `placeholder:"N" help:"Share of the uplink that is kept for operators. Default: 10."`
	BuyersPercent    *int     `placeholder:"N" help:"Share of the uplink that is kept for answers to buyers. Default: 80."`
	NewIPv4          *string  `name:"new-ipv4" placeholder:"RATE[:BURST]" help:"New connections a second, and at once, of one IPv4 address. Default: 100:300."`
	NewIPv6          *string  `name:"new-ipv6" placeholder:"RATE[:BURST]" help:"The same of one IPv6 /64. Default: 100:300."`
	OpenMax          *int     `placeholder:"N" help:"Connections of each of them at a time; 0: not counted. Default: 1000."`
	Trusted          string   `placeholder:"PREFIX,…" help:"Who is never limited: the CDN, the balancer, monitoring. Default: nobody."`
	Operators        string   `placeholder:"PREFIX,…" help:"Who is never limited and served first: operators, and the shop's own machines. Default: nobody."`
	OperatorPort     []uint16 `placeholder:"PORT" help:"A port whose answers are served first, whoever asks; may be repeated. Default: 22."`
	AddressesMax     *int     `placeholder:"N" help:"Addresses remembered at a time, of each family. Default: 65536."`
	SYNProxy         bool     `name:"syn-proxy" help:"Let the kernel finish handshakes before a connection exists; it breaks those that are open when it is switched."`
}

// Help is what --help says beyond the flags.
func (deployTC) Help() string {
	return `For the machine that buyers reach: a balancer, or a node that stands alone. What each part stops, with figures: docs/edge-network.md.

    doorbuster deploy tc --out edge --interface eth0
    doorbuster deploy tc --out edge --interface eth0 --uplink 9.5G --operators 198.51.100.0/24 --trusted 203.0.113.0/24`
}

// Run writes the files.
func (c deployTC) Run(p program) error {
	network, err := c.network()
	if err != nil {
		return misused(err)
	}
	return c.write(p, edge.TC, edge.Site{Network: network},
		"sudo "+c.at("up.sh")+", also after a change; it does not outlive a restart of the machine", "sudo "+c.at("down.sh")+" undoes it")
}

// network returns the defaults with what the flags say. The error names every
// flag that cannot be read.
func (c deployTC) network() (edge.Network, error) {
	var faults shop.Faults
	n := edge.DefaultNetwork()
	n.Interface, n.SYNProxy = c.Interface, c.SYNProxy
	if c.Port != nil {
		n.Ports = c.Port
	}
	if c.OperatorPort != nil {
		n.OperatorPorts = c.OperatorPort
	}
	take(c.OperatorsPercent, &n.OperatorsPercent)
	take(c.BuyersPercent, &n.BuyersPercent)
	take(c.OpenMax, &n.OpenMax)
	take(c.AddressesMax, &n.AddressesMax)
	note := func(flag string, err error) {
		if err != nil {
			faults = append(faults, shop.Fault{Field: flag, Wrong: err.Error()})
		}
	}
	note("--uplink", read(c.Uplink, &n.Uplink, parseBits))
	note("--new-ipv4", read(c.NewIPv4, &n.NewIPv4, parseArrivals))
	note("--new-ipv6", read(c.NewIPv6, &n.NewIPv6, parseArrivals))
	note("--trusted", read(&c.Trusted, &n.Trusted, gate.ParsePrefixes))
	note("--operators", read(&c.Operators, &n.Operators, func(list string) ([]netip.Prefix, error) { return gate.ParsePrefixes(list) }))
	if len(faults) == 0 {
		return n, nil
	}
	_, err := edge.Render(edge.TC, edge.Site{Network: n}) // what is wrong beside them, in the same breath
	if wrong, ok := errors.AsType[shop.Faults](err); ok {
		faults = append(faults, wrong...)
	}
	return n, faults
}

// take takes a flag over where it is given.
func take(flag, into *int) {
	if flag != nil {
		*into = *flag
	}
}

// read parses a flag where it is given.
func read[T any](flag *string, into *T, parse func(string) (T, error)) error {
	if flag == nil {
		return nil
	}
	value, err := parse(*flag)
	if err == nil {
		*into = value
	}
	return err
}

// parseBits reads bits a second: a number, with k, M or G behind it.
func parseBits(text string) (uint64, error) {
	bits, err := plan.ParseCount(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not bits a second; write a number with k, M or G behind it, such as 950M for a line of 1 Gbit/s", text)
	}
	return uint64(bits), nil //nolint:gosec // a count has no sign
}

// parseArrivals reads whole connections a second.
func parseArrivals(text string) (edge.Arrivals, error) {
	rate, err := gate.ParseRate(text)
	if err == nil && rate.PerSecond != float64(int(rate.PerSecond)) {
		err = fmt.Errorf("rate %q: write whole connections a second, such as 100:300", text)
	}
	return edge.Arrivals{PerSecond: int(rate.PerSecond), Burst: rate.Burst}, err
}
