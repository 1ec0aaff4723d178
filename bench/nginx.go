package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// nginxConfig is the yardstick: two workers, nothing that slows it down, a
// refusal from its configuration and a file from the disk's cache.
const nginxConfig = `daemon off;
%[4]s
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_timeout 300;
  keepalive_requests 100000000;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=16;
  types { application/json json; }
  default_type application/problem+json;
  server {
    listen %[2]s;
    location / { return 429 '%[3]s'; }
    location = /state.json { root %[1]s; add_header Cache-Control "public, max-age=1"; }
  }
}
`

// yardstick is a running nginx.
type yardstick struct {
	*server
	address string
}

// findNginx looks where Debian keeps it, too.
func findNginx() (string, error) {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/nginx")
}

// startNginx starts nginx; its refusal and its file have the given bodies.
func (b *bench) startNginx(ctx context.Context, refusal, file []byte) (*yardstick, error) {
	path, err := findNginx()
	if err != nil {
		return nil, fmt.Errorf("nginx is the yardstick; make deps installs it: %w", err)
	}
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		return nil, err
	}
	address, err := servers.FreeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // else its workers could not read the file
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, address, refusal, user), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "state.json"), file, 0o600); err != nil {
		return nil, err
	}
	s, err := startServer(filepath.Join(dir, "log"), os.Environ(), path, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", config)
	if err != nil {
		return nil, err
	}
	y := &yardstick{server: s, address: address}
	if err := y.Until(ctx, func() error { return y.answers(ctx) }); err != nil {
		return nil, errors.Join(err, y.end())
	}
	return y, nil
}

// answers asks for the file.
func (y *yardstick) answers(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+y.address+"/state.json", nil)
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
		return fmt.Errorf("nginx answers %s", response.Status)
	}
	return nil
}

// end stops nginx.
func (y *yardstick) end() error { return y.Stop(syscall.SIGTERM) }
