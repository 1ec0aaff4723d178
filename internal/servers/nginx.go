package servers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Nginx is an nginx in front of nodes.
type Nginx struct {
	*Process
	Address string
}

// nginxConfig sends a buyer's requests to one node as long as it lives, and
// lets nobody wait for a dead one. A POST that a node may have seen goes to
// another one only under an Idempotency-Key, which makes twice once.
const nginxConfig = `daemon off;
%[1]s
worker_processes 1;
pid %[2]s/pid;
error_log %[2]s/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_timeout 60;
  keepalive_requests 1000000;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  map $http_authorization $buyer {
    "" $remote_addr; # nobody yet: a guest's first call, a page
    default $http_authorization;
  }
  upstream nodes {
    hash $buyer consistent;
%[3]s
    keepalive 256;
  }
  server {
    listen %[4]s;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host; # with its port: a payment page has its address from it
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_connect_timeout 1s;
    proxy_read_timeout 35s;
    location / {
      error_page 418 = @once;
      if ($http_idempotency_key) { return 418; }
      proxy_pass http://nodes;
    }
    location @once {
      proxy_pass http://nodes;
      proxy_next_upstream error timeout non_idempotent;
    }
  }
}
`

// StartNginx starts an nginx in dir, an empty folder, in front of nodes.
func StartNginx(ctx context.Context, dir string, nodes ...string) (*Nginx, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // else its workers could not write to dir
	}
	var upstream strings.Builder
	for _, node := range nodes {
		fmt.Fprintf(&upstream, "    server %s max_fails=3 fail_timeout=1s;\n", node)
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, dir, upstream.String(), address), 0o600); err != nil {
		return nil, err
	}
	process, err := Start(Command{
		Name: "nginx", Args: []string{"-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", config}, Log: filepath.Join(dir, "log"),
	})
	if err != nil {
		return nil, err
	}
	n := &Nginx{process, address}
	return n, process.Until(ctx, func() error { return ok(ctx, n.URL()+"/livez") })
}

// URL is where buyers come in.
func (n *Nginx) URL() string { return "http://" + n.Address }

// Stop ends nginx and its workers.
func (n *Nginx) Stop() error { return n.Process.Stop(syscall.SIGTERM) }

// ok wants 200 from an address.
func ok(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
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
