// Package edge writes the configurations of what stands in front of nodes:
// proxies, names, the network layer, the machine's services. It starts
// nothing, and what it writes works as it stands.
package edge

import (
	"fmt"
	"io/fs"
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
	Nodes   []string // buyers' listeners, HOST:PORT
	Network Network  // what tc renders
}

// Render writes the configuration in memory. The error names every fault of
// the site at once (shop.Faults).
func Render(kind Kind, site Site) ([]File, error) {
	switch kind {
	case TC:
		return renderNetwork(site.Network)
	case Nginx, HAProxy, DNS, Systemd, Compose:
	}
	return nil, fmt.Errorf("%q cannot be rendered", kind)
}
