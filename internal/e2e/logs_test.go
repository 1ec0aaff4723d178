package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestLogsRepeatNothingThatStrangersWrite puts a canary into every place of a
// request, with every spelling of a new line, at the most talkative level.
// Security line 32; what is looked for is in discreet.
func TestLogsRepeatNothingThatStrangersWrite(t *testing.T) {
	n := serve(t, setup{args: []string{"--log-level", "debug"}})
	op := n.operator()
	op.publish(t, newSale("drop", 1, map[string]int64{"one": 1}))
	token := newStreet(t, n, 1).shopper(t, canary).bearer
	const line = `{\"level\":\"ERROR\",\"msg\":\"` + canary + `\"}`
	asked := 0
	for _, end := range []string{"\r\n", "\n", "\r", "%0d%0a", "%0a", `\r\n`, `\u000d\u000a`, "\u2028", "\x1b[2K"} {
		word := canary + end + line
		head := "POST /api/v1/sales/drop/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
		body := `{"sku":"` + word + `","quantity":1}`
		for _, request := range []string{
			"GET /" + word + " HTTP/1.1\r\nHost: shop\r\n\r\n",
			"GET /s/drop?" + word + " HTTP/1.1\r\nHost: shop\r\n\r\n",
			"GET /livez HTTP/1.1\r\nHost: " + word + "\r\n\r\n",
			word + " /livez HTTP/1.1\r\nHost: shop\r\n\r\n",
			head + "Authorization: Bearer " + word + "\r\nContent-Length: 0\r\n\r\n",
			head + "Authorization: " + token + word + "\r\nContent-Length: 0\r\n\r\n",
			head + "Authorization: " + token + "\r\nIdempotency-Key: " + word + "\r\nContent-Length: 0\r\n\r\n",
			head + "Authorization: " + token + "\r\nDoorbuster-Challenge: " + word + "\r\nX-Forwarded-For: " + word + ", 2001:db8::1\r\nContent-Length: 0\r\n\r\n",
			head + "User-Agent: " + word + "\r\nReferer: " + word + "\r\nCookie: " + word + "\r\nTraceparent: " + word + "\r\nContent-Length: 0\r\n\r\n",
			head + fmt.Sprintf("Authorization: %s\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body),
		} {
			conn := connect(t, strings.TrimPrefix(n.buyers, "http://"))
			if status, _ := exchange(conn.Conn, conn.answers, []byte(request), true); status >= http.StatusInternalServerError {
				t.Errorf("%q is answered %d", request, status)
			}
			asked++
		}
		if status, _, err := op.as(canary+strings.Trim(end, "\r\n"), http.MethodGet, "/sales/"+canary); err == nil && status != http.StatusUnauthorized {
			t.Errorf("a stranger at the operators' door hears %d", status)
		}
	}
	n.stop(t)
	lines := 0
	for line := range strings.Lines(n.read()) {
		if !strings.HasPrefix(line, "{") {
			continue // what a start prints for people
		}
		lines++
		var entry struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Msg == "" {
			t.Errorf("no line of a log: %q, %v", line, err)
		}
	}
	if lines == 0 || asked == 0 {
		t.Errorf("%d lines after %d requests: nothing was looked at", lines, asked)
	}
}

// raw is a connection for bytes as they are.
type raw struct {
	net.Conn
	answers *bufio.Reader
}

// connect opens one until the test is over.
func connect(t *testing.T, address string) *raw {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &raw{conn, bufio.NewReader(conn)}
}
