package main

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

type deployCommands struct {
	Nginx   deployNginx   `cmd:"" help:"Write nginx.conf: TLS, limits, caches, and nodes that may die."`
	HAProxy deployHAProxy `cmd:"" name:"haproxy" help:"Write haproxy.cfg: the same with HAProxy."`
	DNS     deployDNS     `cmd:"" name:"dns" help:"Write the records of several balancers, and keepalived.conf where they share addresses."`
	TC      deployTC      `cmd:"" name:"tc" help:"Write scripts for the machine's network layer: tc and nftables, with their undo."`
	Systemd deploySystemd `cmd:"" help:"Write a node's service for systemd, its settings and the kernel's."`
	Compose deployCompose `cmd:"" help:"Write a shop of three nodes for Docker Compose."`
}

// written is where a configuration goes.
type written struct {
	Out   string `required:"" placeholder:"DIR" help:"Where to; made if need be."`
	Force bool   `help:"Replace files that differ from what would be written."`
}

// proxied is what nginx and HAProxy are told beside the node's settings.
type proxied struct {
	Node           []string `placeholder:"HOST:PORT" help:"A node as the proxy reaches it; may be repeated. Default: what --listen says, on this machine."`
	Certificate    string   `placeholder:"FILE" help:"Certificate and chain (PEM), as the proxy's machine has it: buyers come by TLS. Default: plain HTTP."`
	CertificateKey string   `placeholder:"FILE" help:"The certificate's key (PEM). HAProxy wants it in the certificate's file instead."`
	ProxyListen    []string `placeholder:"[ADDRESS]:PORT" help:"Where buyers come in; may be repeated. Default: :443 with a certificate, else :80."`
	Behind         string   `placeholder:"PREFIX,…" help:"Proxies in front of this one whose X-Forwarded-For counts, such as a CDN's. Default: none, buyers themselves come in."`
}

// proxy returns what the flags say.
func (f proxied) proxy() (edge.Proxy, error) {
	behind, err := gate.ParsePrefixes(f.Behind)
	if err != nil {
		return edge.Proxy{}, shop.Faults{{Field: "--behind", Wrong: err.Error()}}
	}
	p := edge.Proxy{Listen: f.ProxyListen, Certificate: f.Certificate, CertificateKey: f.CertificateKey, Behind: behind}
	switch {
	case len(p.Listen) > 0:
	case p.Certificate != "":
		p.Listen = []string{":443"}
	default:
		p.Listen = []string{":80"}
	}
	return p, nil
}

// siteOf is what every configuration takes from the node's settings.
func siteOf(flags config.Flags, p program) (*config.Config, edge.Site, error) {
	c, err := config.Settings(flags, p.getenv)
	if err != nil {
		return nil, edge.Site{}, misused(err)
	}
	return c, edge.Site{
		Nodes: []string{sameMachine(c.Listen)}, Hosts: c.Hosts, PageOrigins: c.PageOrigins,
		LimitAddress: c.LimitAddress, LimitBuyer: c.LimitBuyer,
	}, nil
}

// sameMachine is an address that a node listens at, as its own machine reaches it.
func sameMachine(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if addr, wrong := netip.ParseAddr(host); err == nil && (host == "" || wrong == nil && addr.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// write renders and writes, and says what to do next.
func (w written) write(p program, kind edge.Kind, site edge.Site, next ...string) error {
	files, err := edge.Render(kind, site)
	if err == nil {
		err = edge.Write(w.Out, files, w.Force)
	}
	if _, wrong := errors.AsType[shop.Faults](err); wrong {
		return misused(err)
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		p.print(p.stdout, "%s\n", filepath.Join(w.Out, filepath.FromSlash(file.Name)))
	}
	for _, line := range next {
		p.print(p.stdout, "next: %s\n", line)
	}
	return nil
}

// at is the file's whole path, for commands that are to be copied.
func (w written) at(name string) string {
	path, err := filepath.Abs(filepath.Join(w.Out, name))
	if err != nil {
		return filepath.Join(w.Out, name)
	}
	return path
}

const trusting = "start every node with --trusted-proxies and this proxy's address, else all buyers share one limit"

type deployNginx struct {
	written
	proxied
	ProxyFolder string `placeholder:"DIR" help:"nginx may write here: process id, bodies, cache. Default: where Debian's nginx does."`
	config.Flags
}

// Help is what --help says beyond the flags.
func (deployNginx) Help() string {
	return `Limits and names are the node's: give the same --config, environment or flags as serve gets. What each part is for: docs/edge.md.

    doorbuster deploy nginx --out edge
    doorbuster deploy nginx --out edge --node 10.0.0.11:8080 --node 10.0.0.12:8080 --hosts drop.shop.example --certificate /etc/ssl/drop.pem --certificate-key /etc/ssl/drop.key
    doorbuster deploy nginx --out edge --config /etc/doorbuster.yaml --behind 203.0.113.0/24`
}

// Run writes the files.
func (c deployNginx) Run(p program) error {
	settings, site, err := siteOf(c.Flags, p)
	if err != nil {
		return err
	}
	if site.Proxy, err = c.proxy(); err != nil {
		return misused(err)
	}
	if settings.SuspectNoPage {
		return misused(shop.Faults{{Field: "--suspect-no-page", Wrong: "nginx keeps page and state for the node, which then sees nobody load them; leave it out, here and at the node"}})
	}
	site.Proxy.Folder = c.ProxyFolder
	if len(c.Node) > 0 {
		site.Nodes = c.Node
	}
	return c.write(p, edge.Nginx, site, "nginx -t -c "+c.at("nginx.conf"), "put it in the place of /etc/nginx/nginx.conf, then nginx -s reload", trusting)
}

type deployHAProxy struct {
	written
	proxied
	config.Flags
}

// Help is what --help says beyond the flags.
func (deployHAProxy) Help() string {
	return `Limits and names are the node's: give the same --config, environment or flags as serve gets. What each part is for: docs/edge.md.

    doorbuster deploy haproxy --out edge
    doorbuster deploy haproxy --out edge --node 10.0.0.11:8080 --node 10.0.0.12:8080 --hosts drop.shop.example --certificate /etc/ssl/drop-with-key.pem`
}

// Run writes the files.
func (c deployHAProxy) Run(p program) error {
	_, site, err := siteOf(c.Flags, p)
	if err != nil {
		return err
	}
	if site.Proxy, err = c.proxy(); err != nil {
		return misused(err)
	}
	if len(c.Node) > 0 {
		site.Nodes = c.Node
	}
	return c.write(p, edge.HAProxy, site, "haproxy -c -f "+c.at("haproxy.cfg"), "put both in /etc/haproxy, then systemctl reload haproxy", trusting)
}

type deployDNS struct {
	written
	Balancer       []netip.Addr `required:"" placeholder:"ADDRESS" help:"A balancer's own address; may be repeated."`
	VirtualAddress []netip.Addr `placeholder:"ADDRESS" help:"An address that moves to a living balancer (VRRP); may be repeated. Default: none, each balancer is in the DNS itself."`
	Interface      string       `default:"eth0" placeholder:"NAME" help:"The balancers' interface that has the virtual addresses (${default})."`
	ProxyListen    string       `placeholder:"[ADDRESS]:PORT" help:"Where the balancers take buyers. Default: :443 with a certificate, else :80."`
	Certificate    string       `placeholder:"FILE" help:"The balancers' certificate: buyers come by TLS."`
	config.Flags
}

// Help is what --help says beyond the flags.
func (deployDNS) Help() string {
	return `The names are those of --hosts. With virtual addresses each balancer gets a keepalived.conf of its own.

    doorbuster deploy dns --out edge --hosts drop.shop.example --balancer 203.0.113.1 --balancer 203.0.113.2 --certificate /etc/ssl/drop.pem
    doorbuster deploy dns --out edge --hosts drop.shop.example --balancer 203.0.113.1 --balancer 203.0.113.2 --virtual-address 203.0.113.11 --virtual-address 203.0.113.12`
}

// Run writes the files.
func (c deployDNS) Run(p program) error {
	_, site, err := siteOf(c.Flags, p)
	if err != nil {
		return err
	}
	flags := proxied{Certificate: c.Certificate}
	if c.ProxyListen != "" {
		flags.ProxyListen = []string{c.ProxyListen}
	}
	if site.Proxy, err = flags.proxy(); err != nil {
		return misused(err)
	}
	site.Names = edge.Names{Balancers: c.Balancer, Virtual: c.VirtualAddress, Interface: c.Interface}
	next := []string{"put the lines of shop.zone into the zone of the shop, and raise its serial"}
	if len(c.VirtualAddress) > 0 {
		next = append(next, "keepalived --config-test=/tmp/keepalived.log -f "+c.at("keepalived-1.conf")+"; it ends itself by a signal, and what is wrong stands in that log",
			"put keepalived-N.conf into /etc/keepalived/keepalived.conf of balancer N, check-balancer.sh beside it, then systemctl reload keepalived")
	}
	return c.write(p, edge.DNS, site, next...)
}

// serviceData is the service's StateDirectory, all that it may write to.
const serviceData = "/var/lib/doorbuster"

type deploySystemd struct {
	written
	config.Flags
}

// Help is what --help says beyond the flags.
func (deploySystemd) Help() string {
	return `The node's settings go into a file beside the service; passwords in addresses are not shown and have to be written in. Secrets are root's files in /etc/doorbuster, which the service alone gets to read. Payments are your own cashier's (none) unless --payments says sandbox.

    doorbuster deploy systemd --out edge --hosts drop.shop.example --trusted-proxies 10.0.0.2/32
    doorbuster deploy systemd --out edge --config cluster.yaml --listen :8080`
}

// Run writes the files.
func (c deploySystemd) Run(p program) error {
	given, _ := config.Settings(c.Flags, p.getenv) // with faults, which siteOf names
	data, format := serviceData, "json"
	c.Data, c.LogFormat = &data, &format
	if _, chosen := given.Given("payments"); !chosen { // a service is for others, also where --hosts names none
		none := string(config.NoPayments)
		c.Payments = &none
	}
	c.BlockList, c.AllowList = whole(given, "block-list"), whole(given, "allow-list")
	settings, site, err := siteOf(c.Flags, p)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := settings.Print(&text); err != nil {
		return err
	}
	site.Nodes = []string{settings.Listen}
	site.Service.Settings, site.Service.Secrets = text.Bytes(), secretFiles(settings)
	return c.write(p, edge.Systemd, site, nextOfService(given, settings, site.Service.Secrets)...)
}

// whole is a file's path that does not depend on where a program is started;
// nil where the setting is not given.
func whole(given *config.Config, name string) *string {
	path, ok := given.Given(name)
	if !ok {
		return nil
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return &path
}

// secretFiles are the secrets that a service cannot make for itself.
func secretFiles(settings *config.Config) (names []string) {
	if settings.Distributed() {
		names = []string{"buyer-key", "admin-token", "root-key"}
		if settings.Payments == config.Sandbox {
			names = append(names, "payments-key")
		}
	}
	if settings.CaptchaVerifyURL != "" {
		names = append(names, "captcha-secret")
	}
	return names
}

// nextOfService is what is left to do, and what was given and is not in the
// service's settings.
func nextOfService(given, settings *config.Config, secrets []string) []string {
	next := []string{
		"put the program at /usr/local/bin/doorbuster, doorbuster.service into /etc/systemd/system, sysctl.d/90-doorbuster.conf into /etc/sysctl.d, doorbuster.yaml into /etc/doorbuster",
	}
	if hidden := settings.Hidden(); len(hidden) > 0 {
		next = append(next, "write into doorbuster.yaml what is not shown there, of "+strings.Join(hidden, ", "))
	}
	if len(secrets) > 0 {
		next = append(next, "write "+strings.Join(secrets, ", ")+" into /etc/doorbuster, each a file of root's with mode 0600")
	}
	for _, list := range []string{settings.BlockList, settings.AllowList} {
		if list != "" {
			next = append(next, "let the service's user, whom systemd makes, read "+list)
		}
	}
	for _, fixed := range [][2]string{{"data", "the service may write to " + serviceData + " alone"}, {"log-format", "the journal gets json"}} {
		if value, ok := given.Given(fixed[0]); ok && value != settings.Setting(fixed[0]) {
			next = append(next, "do without --"+fixed[0]+" "+value+": "+fixed[1])
		}
	}
	return append(next, "sysctl --system && systemctl daemon-reload && systemctl enable --now doorbuster")
}
