package edge

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

const (
	// recordSeconds is how long resolvers may remember an address, and so how
	// long a balancer that was taken out is still asked.
	recordSeconds = 30
	// routerFirst is the number of the first virtual address among VRRP's
	// routers; a network can have 255.
	routerFirst = 51
	// priorityFirst is the VRRP priority of a balancer for its own address.
	// Each further balancer has one less, and a failed check takes off 60.
	priorityFirst = 150
	balancersMax  = 16
)

// zone is what names are written from.
type zone struct {
	Site
	Zone         []string
	Addresses    []netip.Addr
	Seconds      int
	Scheme, Port string
	Local, Host  string // how the balancer asks itself
}

// share is a balancer's part in a virtual address.
type share struct {
	Address          netip.Addr
	Router, Priority int
}

// balancer is what one balancer's keepalived.conf is written from.
type balancer struct {
	Self      netip.Addr
	Peers     []netip.Addr
	Interface string
	Shares    []share
}

// renderNames writes the records of the shop's names and, where there are
// virtual addresses, what lets balancers swap them.
func renderNames(site Site) ([]File, error) {
	var wrong faults
	wrong.proxy(site.Proxy, false)
	wrong.web(site)
	wrong.names(site)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	z := zoneOf(site)
	records, err := fill("dns/shop.zone", "shop.zone", plain, z)
	if err != nil || len(site.Names.Virtual) == 0 {
		return []File{records}, err
	}
	check, err := fill("dns/check-balancer.sh", "check-balancer.sh", run, z)
	files := []File{records, check}
	for i := range site.Names.Balancers {
		if err != nil {
			return nil, err
		}
		var one File
		one, err = fill("dns/keepalived.conf", fmt.Sprintf("keepalived-%d.conf", i+1), plain, balancerOf(site.Names, i))
		files = append(files, one)
	}
	return files, err
}

func zoneOf(site Site) zone {
	z := zone{Site: site, Zone: hostNames(site.Hosts), Addresses: site.Names.Virtual, Seconds: recordSeconds, Scheme: "http", Local: "127.0.0.1"}
	if len(z.Addresses) == 0 {
		z.Addresses = site.Names.Balancers
	}
	if site.Proxy.Certificate != "" {
		z.Scheme = "https"
	}
	host, port, _ := net.SplitHostPort(site.Proxy.Listen[0]) // was checked
	z.Port, z.Host = port, z.Zone[0]
	switch addr, err := netip.ParseAddr(host); {
	case err != nil:
	case addr == netip.IPv6Unspecified():
		z.Local = "[::1]"
	case !addr.IsUnspecified() && addr.Is6():
		z.Local = "[" + host + "]"
	case !addr.IsUnspecified():
		z.Local = host
	}
	return z
}

// hostNames are those hosts that can have an address in the DNS.
func hostNames(hosts []string) []string {
	var names []string
	for _, host := range hosts {
		if !isAddress(host) {
			names = append(names, host)
		}
	}
	return names
}

// balancerOf gives each balancer a virtual address of its own, as far as there
// are, and puts the others behind it in a row.
func balancerOf(n Names, self int) balancer {
	b := balancer{Self: n.Balancers[self], Interface: n.Interface, Peers: slices.Delete(slices.Clone(n.Balancers), self, self+1)}
	count := len(n.Balancers)
	for i, address := range n.Virtual {
		behind := (self - i%count + count) % count
		b.Shares = append(b.Shares, share{Address: address, Router: routerFirst + i, Priority: priorityFirst - behind})
	}
	return b
}

// names wants names that addresses can be given to, and addresses that
// balancers can swap.
func (f *faults) names(site Site) {
	n := site.Names
	if len(hostNames(site.Hosts)) == 0 {
		f.add("--hosts", "is missing; write the shop's name, such as drop.shop.example")
	}
	if len(n.Balancers) == 0 {
		f.add("--balancer", "is missing; write the address of the machine that buyers come in by, such as 203.0.113.1")
	}
	if len(n.Balancers) > balancersMax {
		f.add("--balancer", "%d are too many for one name: write %d or fewer, and more names", len(n.Balancers), balancersMax)
	}
	f.distinct("--balancer", n.Balancers)
	f.distinct("--virtual-address", n.Virtual)
	if len(n.Virtual) == 0 {
		return
	}
	if len(n.Balancers) < 2 {
		f.add("--virtual-address", "needs two balancers or more to move between; write --balancer for each")
	}
	if len(n.Virtual) > balancersMax {
		f.add("--virtual-address", "%d are too many; write %d or fewer", len(n.Virtual), balancersMax)
	}
	if !matches(devicePattern, n.Interface) {
		f.add("--interface", "%q is not a network interface; write the balancers' one, such as eth0", n.Interface)
	}
	for _, address := range n.Virtual {
		if slices.Contains(n.Balancers, address) {
			f.add("--virtual-address", "%s is a balancer's own; write one that no machine has", address)
		}
	}
	for _, address := range slices.Concat(n.Virtual, n.Balancers) {
		if address.Is4() != n.Virtual[0].Is4() {
			f.add("--virtual-address", "VRRP knows one family at a time; render IPv4 and IPv6 into two folders, each with the balancers' addresses of that family")
			return
		}
	}
}

func (f *faults) distinct(field string, addresses []netip.Addr) {
	seen := map[netip.Addr]bool{}
	for _, address := range addresses {
		switch {
		case !address.IsValid() || address.IsUnspecified() || address.Zone() != "" || address.Is4In6():
			f.add(field, "%s is not a machine's address; write such as 203.0.113.1 or 2001:db8::1", address)
		case seen[address]:
			f.add(field, "%s is there twice", address)
		}
		seen[address] = true
	}
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || host != "" && host[0] == '['
}
