package admin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWhatOnlyTheTokenOpens(t *testing.T) {
	handler := open(t).door.Handler()
	for name, c := range map[string]struct {
		path         string
		proto, minor int
	}{
		"the command line":                       {"/debug/pprof/cmdline", 1, 1},
		"a profile, by a proxy that asks in 1.0": {"/debug/pprof/goroutine", 1, 0},
	} {
		for bears, want := range map[string]int{"": http.StatusUnauthorized, "Bearer " + token: http.StatusOK} {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
			request.RemoteAddr, request.Host = "127.0.0.1:5000", "127.0.0.1:8081"
			request.ProtoMajor, request.ProtoMinor = c.proto, c.minor
			if bears != "" {
				request.Header.Set("Authorization", bears)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != want {
				t.Errorf("%s, authorized by %q: %d, want %d", name, bears, recorder.Code, want)
			}
		}
	}
}
