package servers

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/doorbuster/doorbuster/internal/edge"
)

// Front is a proxy in front of nodes.
type Front interface {
	// URL is where buyers come in.
	URL() string
	// Stop ends it.
	Stop() error
}

// StartFront starts the proxy of that kind in dir, an empty folder.
func StartFront(ctx context.Context, kind edge.Kind, dir string, site edge.Site) (Front, error) {
	if kind == edge.HAProxy {
		return StartHAProxy(ctx, dir, site)
	}
	return StartNginx(ctx, dir, site)
}

// HAProxy is an HAProxy in front of nodes.
type HAProxy struct {
	*Process
	Address string
	TLS     bool
}

// StartHAProxy starts an HAProxy in dir, an empty folder, as doorbuster deploy
// haproxy writes it for the site.
func StartHAProxy(ctx context.Context, dir string, site edge.Site) (*HAProxy, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	site.Proxy.Listen = []string{address}
	files, err := edge.Render(edge.HAProxy, site)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 { // who is nobody special cannot become somebody else
		files[0].Text = []byte(strings.NewReplacer("  user haproxy\n", "", "  group haproxy\n", "").Replace(string(files[0].Text)))
	}
	if err := edge.Write(dir, files, false); err != nil {
		return nil, err
	}
	process, err := Start(Command{
		Name: "haproxy", Log: filepath.Join(dir, "log"), Args: []string{"-db", "-f", filepath.Join(dir, files[0].Name)},
	})
	if err != nil {
		return nil, err
	}
	h := &HAProxy{process, address, site.Proxy.Certificate != ""}
	return h, process.Until(ctx, func() error { return ok(ctx, h.URL()+"/livez") })
}

// URL is where buyers come in.
func (h *HAProxy) URL() string { return entrance(h.TLS, h.Address) }

// Stop ends HAProxy.
func (h *HAProxy) Stop() error { return h.Process.Stop(syscall.SIGTERM) }
