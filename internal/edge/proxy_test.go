package edge_test

import (
	"testing"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/servers"
)

func TestTmp(t *testing.T) {
	site := servers.Site("127.0.0.1:1", "127.0.0.1:2")
	site.Hosts = []string{"shop.example"}
	site.PageOrigins = []string{"https://shop.example"}
	site.Proxy.Listen = []string{":8080"}
	for _, k := range []edge.Kind{edge.Nginx, edge.HAProxy} {
		files, err := edge.Render(k, site)
		if err != nil {
			t.Fatal(err)
		}
		if err := edge.Write("/tmp/edgeout/"+string(k), files, true); err != nil {
			t.Fatal(err)
		}
	}
}
