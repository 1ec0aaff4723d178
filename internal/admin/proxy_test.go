package admin_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// A proxy on the operators' machine that says nothing of whom it asks for looks
// like somebody who sits there: same address, same Host, HTTP/1.1.
func TestABareProxyGetsNoProfile(t *testing.T) {
	if testing.Short() {
		t.Skip("starts nginx")
	}
	h := open(t)
	node := strings.TrimPrefix(h.url, "http://")
	for _, version := range []string{"1.0", "1.1"} {
		t.Run("HTTP/"+version, func(t *testing.T) {
			proxy := bareProxy(t, node, version)
			for path, want := range map[string]int{"/livez": http.StatusOK, "/debug/pprof/": http.StatusUnauthorized, "/debug/pprof/heap": http.StatusUnauthorized} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+proxy+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				request.Close = true
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != want {
					t.Errorf("%s through the proxy: %d, want %d", path, response.StatusCode, want)
				}
			}
		})
	}
}

// bareProxy is an nginx with nothing but proxy_pass, and returns its address.
func bareProxy(t *testing.T, node, version string) string {
	t.Helper()
	address, err := servers.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	places := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		places += fmt.Sprintf("%s_temp_path %s;", kind, filepath.Join(dir, kind))
	}
	text := fmt.Sprintf("daemon off; pid %[1]s/pid; events {}\nhttp { access_log off; %[2]s\nserver { listen %[3]s; location / { proxy_http_version %[4]s; proxy_pass http://%[5]s; } } }\n",
		dir, places, address, version, node)
	if os.Geteuid() == 0 {
		text = "user root; " + text // else its workers could not write to dir
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := servers.Start(servers.Command{
		Name: "nginx", Log: filepath.Join(dir, "log"), Args: []string{"-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	if err := process.Until(t.Context(), func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/livez", http.NoBody)
		if err != nil {
			return err
		}
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}); err != nil {
		t.Fatal(err)
	}
	return address
}
