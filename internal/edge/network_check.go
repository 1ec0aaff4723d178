package edge

import (
	"net/netip"

	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	portsMax     = 64              // more is a mistake
	uplinkLeast  = 1_000_000       // below, a class is too small for a frame
	uplinkMost   = 400_000_000_000 // the widest line there is
	arrivalsMost = 1_000_000       // beyond, a limit of connections limits nothing
	openMost     = 1_000_000
	addressesMin = 1024
	addressesMax = 4 << 20 // 900 MB of kernel memory for each family
	prefixesMax  = 10_000  // the largest CDNs name some thousands
)

func (f *faults) number(field string, n, least, most int) {
	if n < least || n > most {
		f.add(field, "%d; write a number from %d to %d", n, least, most)
	}
}

// check returns every fault. What it lets through cannot be mistaken for
// anything but itself in a script.
func (n Network) check() shop.Faults {
	var f faults
	if !matches(devicePattern, n.Interface) {
		f.add("--interface", "%q is not an interface's name; write one that ip link lists, such as eth0", n.Interface)
	}
	if len(n.Ports) == 0 {
		f.add("--port", "missing; write where buyers come in, such as 443")
	}
	f.ports("--port", n.Ports)
	f.ports("--operator-port", n.OperatorPorts)
	if n.Uplink < uplinkLeast || n.Uplink > uplinkMost {
		f.add("--uplink", "%d; write bits per second from %d to %d, such as 950000000 for a line of 1 Gbit/s", n.Uplink, uplinkLeast, uplinkMost)
	}
	f.shares(n)
	f.arrivals("--new-ipv4", n.NewIPv4)
	f.arrivals("--new-ipv6", n.NewIPv6)
	f.number("--open-max", n.OpenMax, 0, openMost)
	f.number("--addresses-max", n.AddressesMax, addressesMin, addressesMax)
	f.prefixes("--trusted", n.Trusted)
	f.prefixes("--operators", n.Operators)
	return f.found
}

func (f *faults) ports(field string, ports []uint16) {
	if len(ports) > portsMax {
		f.add(field, "%d of them; %d are the most", len(ports), portsMax)
		return
	}
	seen := map[uint16]bool{}
	for _, port := range ports {
		switch {
		case port == 0:
			f.add(field, "0 is no port; write a number from 1 to 65535")
		case seen[port]:
			f.add(field, "%d stands there twice", port)
		}
		seen[port] = true
	}
}

func (f *faults) shares(n Network) {
	f.number("--operators-percent", n.OperatorsPercent, 1, 98)
	f.number("--buyers-percent", n.BuyersPercent, 1, 98)
	if sum := n.OperatorsPercent + n.BuyersPercent; sum > 99 {
		f.add("--buyers-percent", "with --operators-percent it makes %d; leave at least 1 to everything else", sum)
	}
}

func (f *faults) arrivals(field string, a Arrivals) {
	f.number(field, a.PerSecond, 1, arrivalsMost)
	f.number(field, a.Burst, 1, arrivalsMost)
}

func (f *faults) prefixes(field string, prefixes []netip.Prefix) {
	if len(prefixes) > prefixesMax {
		f.add(field, "%d of them; %d are the most", len(prefixes), prefixesMax)
		return
	}
	for _, prefix := range prefixes {
		switch {
		case !prefix.IsValid():
			f.add(field, "not a prefix; write one such as 192.0.2.0/24 or 2001:db8::/32")
		case prefix.Bits() == 0:
			f.add(field, "%s is everybody, and nobody would be limited; name the networks", prefix)
		case prefix.Addr().Is4In6():
			f.add(field, "%s is IPv4 inside IPv6; write it as IPv4", prefix)
		}
	}
}
