package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEveryAnswerIsToldOnceWithItsRequest(t *testing.T) {
	const requests, conns = 300, 7
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, strings.Repeat(r.URL.Path, 1+len(r.URL.Path)%3))
	}))
	defer server.Close()
	var mu sync.Mutex
	seen := map[int64]int{}
	result, err := Crowd{strings.TrimPrefix(server.URL, "http://"), conns, time.Minute}.Each(func(n int64, room []byte) ([]byte, bool) {
		return fmt.Appendf(room, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", n), n < requests
	}, func(a *Answer) {
		path := fmt.Sprintf("/%d", a.Number)
		if want := strings.Repeat(path, 1+len(path)%3); string(a.Body) != want || a.Status != http.StatusConflict {
			t.Errorf("request %d got %d %s, want %s", a.Number, a.Status, a.Body, want)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[a.Number]++
	})
	if err != nil || result.Errors > 0 || result.Status[http.StatusConflict] != requests || len(seen) != requests {
		t.Errorf("got %v, %v and answers to %d requests, want %d", result, err, len(seen), requests)
	}
}
