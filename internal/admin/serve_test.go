package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/audit"
)

// serve opens the door on a port of its own; stop closes it and returns what
// Serve did.
func (h *house) serve() (address string, stop func() error) {
	h.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(h.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		h.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.Context())
	served := make(chan error, 1)
	go func() { served <- h.door.Serve(ctx, listener) }()
	return listener.Addr().String(), func() error {
		cancel()
		return <-served
	}
}

func TestServeFinishesWhatIsInFlightAndLeavesNothingBehind(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	h := open(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	h.door.Health = func() admin.Health {
		close(asked)
		<-answer
		return admin.Health{Ready: true}
	}
	address, stop := h.serve()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(answer)
	if status, err := statusOf(conn); err != nil || status != http.StatusOK {
		t.Errorf("the request in flight got %d, %v", status, err)
	}
	if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve returned %v", err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the door is still open")
	}
}

func TestWhatAServerMustNotTakeIsRefusedByTheDoor(t *testing.T) {
	h := open(t)
	address, stop := h.serve()
	defer func() { _ = stop() }()
	for name, head := range map[string]string{
		"two lengths":            "Content-Length: 1\r\nContent-Length: 2\r\n",
		"a blank before a colon": "X-A : b\r\n",
		"a header too large":     "X-A: " + strings.Repeat("b", 16<<10) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			go func() { _, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n"+head+"\r\n") }()
			if status, err := statusOf(conn); err == nil && (status < 400 || status > 499) { // cut off is refused
				t.Errorf("status %d", status)
			}
		})
	}
}

func statusOf(conn net.Conn) (int, error) {
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// deadlined notes whether the time for an answer was lifted.
type deadlined struct {
	*httptest.ResponseRecorder
	lifted bool
}

func (d *deadlined) SetWriteDeadline(deadline time.Time) error {
	d.lifted = deadline.IsZero()
	return nil
}

func TestAnAuditTakesAsLongAsItTakes(t *testing.T) {
	h := open(t)
	h.publish()
	answer := &deadlined{ResponseRecorder: httptest.NewRecorder()}
	look := h.door.Audit
	h.door.Audit = func(ctx context.Context, sale string) ([]audit.Result, error) {
		if !answer.lifted {
			t.Error("it reads a long ledger within the time of a short answer")
		}
		return look(ctx, sale)
	}
	request := httptest.NewRequest(http.MethodGet, saleURL+"/audit", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+token)
	h.door.Handler().ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestAPanicIsLoggedAtTheUsualLevel(t *testing.T) {
	h := open(t)
	var log bytes.Buffer
	h.door.Log = slog.New(slog.NewTextHandler(&log, nil)) // INFO and above
	h.door.Health = func() admin.Health { panic("a handler's") }
	address, stop := h.serve()
	response, err := http.Get("http://" + address + "/readyz")
	if err == nil {
		_ = response.Body.Close()
		t.Errorf("status %d, want the connection cut: an answer may have begun", response.StatusCode)
	}
	if err := stop(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve returned %v", err)
	}
	for _, part := range []string{"level=ERROR", "route=/readyz", `panic="a handler's"`, "sayHealth"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %s: %s", part, log.String())
		}
	}
	if n := strings.Count(log.String(), "level="); n != 1 {
		t.Errorf("%d lines, want one: %s", n, log.String())
	}
}
