package admin_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestWrongTokensAreCountedAndLoggedOnceAMinute(t *testing.T) {
	h := open(t)
	var log bytes.Buffer
	now := time.Now()
	h.door.Log, h.door.Now = slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now }
	handler := h.door.Handler()
	call := func(path, authorization string) {
		t.Helper()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		request.RemoteAddr = "203.0.113.77:5000"
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if want := authorization == "Bearer "+token; (recorder.Code == http.StatusOK) != want {
			t.Errorf("%s with %q: %d", path, authorization, recorder.Code)
		}
	}
	logged := func(want int) {
		t.Helper()
		if lines := strings.Count(log.String(), "level=WARN"); lines != want {
			t.Errorf("%d lines, want %d:\n%s", lines, want, log.String())
		}
	}
	call("/admin/api/v1/sales", "Bearer "+token)
	call("/admin/api/v1/sales", "")
	logged(0)
	for range 10 {
		call("/admin/api/v1/sales", "Bearer guess-canary")
		call("/debug/pprof/?canary", "Basic canary")
	}
	logged(1)
	now = now.Add(59 * time.Second)
	call("/admin/api/v1/canary", "Bearer canary")
	logged(1)
	now = now.Add(time.Second)
	call("/admin/api/v1/sales", "Bearer canary")
	logged(2)
	if missing, wrong := h.door.Refused.Missing.Load(), h.door.Refused.Wrong.Load(); missing != 1 || wrong != 22 {
		t.Errorf("counted %d without a token and %d with a wrong one, want 1 and 22", missing, wrong)
	}
	if said := log.String(); strings.Contains(said, "canary") || strings.Contains(said, "203.0.113.77") ||
		!strings.Contains(said, "from=203.0.113.0/24") || !strings.Contains(said, "since_start=22") {
		t.Errorf("the log says\n%s", said)
	}
}
