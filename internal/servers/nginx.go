package servers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/edge"
)

// Nginx is an nginx in front of nodes.
type Nginx struct {
	*Process
	Address string
	TLS     bool
}

// Site is a shop of these nodes at its default settings, behind a proxy that
// takes anybody on this machine for one in front of it: so tests come from many
// addresses.
func Site(nodes ...string) edge.Site {
	settings := config.Default()
	return edge.Site{
		Nodes: nodes, LimitAddress: settings.LimitAddress, LimitBuyer: settings.LimitBuyer,
		Proxy: edge.Proxy{Behind: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}
}

// StartNginx starts an nginx in dir, an empty folder, as doorbuster deploy
// nginx writes it for the site.
func StartNginx(ctx context.Context, dir string, site edge.Site) (*Nginx, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	site.Proxy.Listen, site.Proxy.Folder = []string{address}, dir
	files, err := edge.Render(edge.Nginx, site)
	if err != nil {
		return nil, err
	}
	if err := edge.Write(dir, files, false); err != nil {
		return nil, err
	}
	more := "daemon off;"
	if os.Geteuid() == 0 {
		more += " user root;" // else its workers could not write to dir
	}
	process, err := Start(Command{
		Name: "nginx", Log: filepath.Join(dir, "log"),
		Args: []string{"-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf"), "-g", more},
	})
	if err != nil {
		return nil, err
	}
	n := &Nginx{process, address, site.Proxy.Certificate != ""}
	return n, process.Until(ctx, func() error { return ok(ctx, n.URL()+"/livez") })
}

// URL is where buyers come in.
func (n *Nginx) URL() string { return entrance(n.TLS, n.Address) }

// entrance is the URL of a proxy.
func entrance(tls bool, address string) string {
	if tls {
		return "https://" + address
	}
	return "http://" + address
}

// Stop ends nginx and its workers.
func (n *Nginx) Stop() error { return n.Process.Stop(syscall.SIGTERM) }

// ok wants 200 from an address, whoever has signed its certificate.
func ok(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Close = true
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
