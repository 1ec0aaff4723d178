package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// wrk is a second opinion on throughput from another generator, as words for
// the figure: nothing where wrk is not installed. Both servers get the same
// request.
func (b *bench) wrk(ctx context.Context, request []byte, product, limit string) (string, error) {
	head, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	var script strings.Builder
	fmt.Fprintf(&script, "wrk.method = \"POST\"\nwrk.body = [[%s]]\n", body)
	for _, l := range lines[1:] {
		if name, value, ok := strings.Cut(l, ": "); ok && name != "Content-Length" {
			fmt.Fprintf(&script, "wrk.headers[%q] = %q\n", name, value)
		}
	}
	file := filepath.Join(b.dir, "post.lua")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		return "", err
	}
	path := strings.Fields(lines[0])[1]
	return b.wrkRun(ctx, "http://"+product+path, "http://"+limit+path, "-s", file)
}

// wrkGet is wrk for a GET; the address has to stand in a script, too.
func (b *bench) wrkGet(ctx context.Context, product, limit string) (string, error) {
	// A new address per request: one alone would meet its limit.
	const script = `local n = 0
request = function()
  n = n + 1
  wrk.headers["X-Forwarded-For"] = "10." .. math.floor(n / 65536) % 256 .. "." .. math.floor(n / 256) % 256 .. "." .. n % 256
  return wrk.format("GET")
end
`
	file := filepath.Join(b.dir, "get.lua")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return "", err
	}
	return b.wrkRun(ctx, product, limit, "-s", file)
}

func (b *bench) wrkRun(ctx context.Context, product, limit string, args ...string) (string, error) {
	if _, err := exec.LookPath("wrk"); err != nil {
		return "", nil //nolint:nilerr // the judged figure stands without it
	}
	var got [2]float64
	for i, url := range []string{limit, product} {
		seconds := max(1, int(b.period/time.Second))
		text, err := servers.Output(ctx, "wrk", append(append([]string{"-t2", "-c64", fmt.Sprintf("-d%ds", seconds)}, args...), url)...)
		if err != nil {
			return "", err
		}
		found := regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`).FindStringSubmatch(text)
		if found == nil {
			return "", fmt.Errorf("wrk printed no Requests/sec: %s", text)
		}
		if got[i], err = strconv.ParseFloat(found[1], 64); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("; wrk: %s/s ÷ %s/s = %s ×", short(got[1]), short(got[0]), short(got[1]/got[0])), nil
}
