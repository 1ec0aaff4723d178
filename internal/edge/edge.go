// Package edge writes the configurations of what stands in front of nodes:
// proxies, names, the network layer, the machine's services. It starts
// nothing, and what it writes works as it stands.
package edge

import (
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/doorbuster/doorbuster/internal/gate"
)

// File is one file of a configuration.
type File struct {
	Name string // below the folder that the operator names, with slashes
	Mode fs.FileMode
	Text []byte
}

// Kind is one of the configurations.
type Kind string

// The kinds.
const (
	Nginx   Kind = "nginx"
	HAProxy Kind = "haproxy"
	TC      Kind = "tc"
	DNS     Kind = "dns"
	Systemd Kind = "systemd"
	Compose Kind = "compose"
)

// Site is what the configurations are about: one shop's nodes and how it is
// reached.
type Site struct {
	Nodes        []string // buyers' listeners, HOST:PORT
	Hosts        []string // names that nodes accept in Host; empty: any
	PageOrigins  []string // whose pages may read answers; "*" alone: any
	LimitAddress gate.Rate
	LimitBuyer   gate.Rate
	Proxy        Proxy
	Names        Names
	Service      Service
	Network      Network // what tc renders
}

// Proxy is how nginx or HAProxy is reached, and what it may use.
type Proxy struct {
	Listen         []string       // HOST:PORT, or :PORT for every address
	Certificate    string         // file, PEM; empty: plain HTTP
	CertificateKey string         // its key's file; HAProxy takes both in the certificate's file
	Behind         []netip.Prefix // proxies in front of this one, such as a CDN's
	Folder         string         // nginx may write there; empty: Debian's places
}

// Names is how buyers find the balancers.
type Names struct {
	Balancers []netip.Addr
	Virtual   []netip.Addr // swapped between the balancers by VRRP; empty: none
	Interface string       // of the balancers, the one that has their addresses
}

// Service is what a machine's or a container's node is told.
type Service struct {
	Settings []byte   // a file that --config reads, without passwords
	Secrets  []string // settings that are files, such as buyer-key
	Env      []Env    // of compose's nodes, where it differs from what they have
}

// Env is one environment variable.
type Env struct{ Name, Value string }

// Render writes the configuration in memory. The error names every fault of
// the site at once (shop.Faults).
func Render(kind Kind, site Site) ([]File, error) {
	switch kind {
	case Nginx:
		return renderNginx(site)
	case HAProxy:
		return renderHAProxy(site)
	case DNS:
		return renderNames(site)
	case Systemd:
		return renderSystemd(site)
	case Compose:
		return renderCompose(site)
	case TC:
		return renderNetwork(site.Network)
	}
	return nil, fmt.Errorf("%q cannot be rendered", kind)
}
