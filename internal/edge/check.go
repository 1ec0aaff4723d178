package edge

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// What is written into configurations is a name, an address, a number or a
// path of harmless characters: nothing that a proxy's grammar could read as
// more.
const (
	namePattern   = `^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`
	pathPattern   = `^/[A-Za-z0-9._/@+-]*$`
	devicePattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`
	originPattern = `^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`
)

// faults collects what is wrong with a site.
type faults struct{ found shop.Faults }

func (f *faults) add(field, format string, args ...any) {
	f.found = append(f.found, shop.Fault{Field: field, Wrong: fmt.Sprintf(format, args...)})
}

// err returns the faults, or nil.
func (f *faults) err() error {
	if len(f.found) == 0 {
		return nil
	}
	return f.found
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// nodes wants addresses that a proxy can connect to.
func (f *faults) nodes(site Site) {
	if len(site.Nodes) == 0 {
		f.add("--node", "is missing; write where a node takes buyers, such as 10.0.0.11:8080")
	}
	seen := map[string]bool{}
	for _, node := range site.Nodes {
		host, port, err := net.SplitHostPort(node)
		ip, _ := netip.ParseAddr(host)
		switch {
		case err != nil || !isHost(host) || !isPort(port):
			f.add("--node", "%q is not HOST:PORT; write such as 10.0.0.11:8080 or node-1:8080", node)
		case ip.IsValid() && ip.IsUnspecified():
			f.add("--node", "%s is every address of the node's own machine; write the one that the proxy reaches it by, such as 10.0.0.11:%s", node, port)
		case seen[node]:
			f.add("--node", "%s is there twice", node)
		}
		seen[node] = true
	}
}

// proxy wants addresses to listen at, and a certificate that is whole.
func (f *faults) proxy(p Proxy, pair bool) {
	if len(p.Listen) == 0 {
		f.add("--proxy-listen", "is missing; write where buyers come in, such as :443")
	}
	for _, listen := range p.Listen {
		host, port, err := net.SplitHostPort(listen)
		if _, wrong := netip.ParseAddr(host); err != nil || !isPort(port) || host != "" && wrong != nil {
			f.add("--proxy-listen", "%q is not ADDRESS:PORT; write such as 203.0.113.1:443, or :443 for every address of IPv4, or [::]:443", listen)
		}
	}
	f.path("--certificate", p.Certificate)
	f.path("--certificate-key", p.CertificateKey)
	f.path("--proxy-folder", p.Folder)
	switch {
	case pair && p.Certificate != "" && p.CertificateKey == "":
		f.add("--certificate-key", "is missing; write the file of the key that belongs to --certificate")
	case p.Certificate == "" && p.CertificateKey != "":
		f.add("--certificate", "is missing; write the file of the certificate that belongs to --certificate-key")
	case !pair && p.CertificateKey != "" && p.CertificateKey != p.Certificate:
		f.add("--certificate-key", "HAProxy takes certificate and key from one file; write both into it (cat fullchain.pem key.pem), name that file as --certificate, and leave this one out")
	}
	for _, prefix := range p.Behind {
		if !prefix.IsValid() || prefix.Masked() != prefix {
			f.add("--behind", "%s is not a prefix; write such as 203.0.113.0/24", prefix)
		}
	}
}

// web wants names and origins without tricks.
func (f *faults) web(site Site) {
	for _, host := range site.Hosts {
		if !isHost(strings.Trim(host, "[]")) {
			f.add("--hosts", "%q is not a host's name; write it alone, such as shop.example", host)
		}
	}
	for _, origin := range site.PageOrigins {
		if origin != "*" && !matches(originPattern, origin) {
			f.add("--page-origins", "%q is not an origin; write scheme and host, such as https://shop.example, or * for any", origin)
		}
	}
}

// path wants an empty text or the absolute path of a file.
func (f *faults) path(field, path string) {
	if path != "" && !matches(pathPattern, path) {
		f.add(field, "%q cannot stand in a configuration; write an absolute path of letters, digits and . _ - / @ +", path)
	}
}

func isHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	return matches(namePattern, host) && !strings.Contains(host, "..")
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == port
}
