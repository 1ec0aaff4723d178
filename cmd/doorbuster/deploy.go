package main

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"path/filepath"

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
	data, format := serviceData, "json"
	c.Data, c.LogFormat = &data, &format
	settings, site, err := siteOf(c.Flags, p)
	if err != nil {
		return err
	}
	if _, chosen := settings.Given("payments"); !chosen { // a service is for others, also where --hosts names none
		none := string(config.NoPayments)
		c.Payments = &none
		if settings, site, err = siteOf(c.Flags, p); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	if err := settings.Print(&text); err != nil {
		return err
	}
	site.Nodes = []string{settings.Listen}
	site.Service.Settings = text.Bytes()
	next := []string{
		"put the program at /usr/local/bin/doorbuster, doorbuster.service into /etc/systemd/system, sysctl.d/90-doorbuster.conf into /etc/sysctl.d, doorbuster.yaml into /etc/doorbuster",
	}
	if settings.Distributed() {
		site.Service.Secrets = []string{"buyer-key", "admin-token", "root-key"}
		if settings.Payments == config.Sandbox {
			site.Service.Secrets = append(site.Service.Secrets, "payments-key")
		}
		next = append(next, "write the passwords into doorbuster.yaml, and the shop's secrets into /etc/doorbuster, each a file of root's with mode 0600")
	}
	next = append(next, "sysctl --system && systemctl daemon-reload && systemctl enable --now doorbuster")
	return c.write(p, edge.Systemd, site, next...)
}

type deployCompose struct {
	written
	Behind string `placeholder:"PREFIX,…" help:"Proxies in front of this shop whose X-Forwarded-For counts, such as a CDN's. Default: none."`
	config.Flags
}

// Help is what --help says beyond the flags.
func (deployCompose) Help() string {
	return `PostgreSQL, a Redis Cluster, RabbitMQ, three nodes and nginx. Addresses, stores, payments and secrets are its own; limits, names, origins, buyers' keys and the log's level are taken from the settings.

    doorbuster deploy compose --out shop
    doorbuster deploy compose --out shop --hosts drop.shop.example --limit-address 20:60`
}

// taken are the settings that nodes of compose take over.
func taken() []string {
	return []string{"hosts", "page-origins", "cache-tags", "buyer-jwks-url", "limit-address", "limit-buyer", "log-level"}
}

// Run writes the files.
func (c deployCompose) Run(p program) error {
	settings, site, err := siteOf(c.Flags, p)
	if err != nil {
		return err
	}
	if site.Proxy, err = (proxied{Behind: c.Behind}).proxy(); err != nil {
		return misused(err)
	}
	for _, name := range taken() {
		if value, ok := settings.Given(name); ok {
			site.Service.Env = append(site.Service.Env, edge.Env{Name: config.EnvOf(name), Value: value})
		}
	}
	return c.write(p, edge.Compose, site, "cd "+c.at("")+" && ./secrets.sh",
		"build the image doorbuster:dev from the sources (docker build -t doorbuster:dev .), and say in .env where the sale is (.env.example)",
		"docker compose up --detach")
}
