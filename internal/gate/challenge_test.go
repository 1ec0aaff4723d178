package gate

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// service judges as Turnstile and its like do: it takes each of its tokens once.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	cdata map[string]string // token → what its widget was told; spent ones are gone
	asked []string          // the forms that came
}

func newService(t testing.TB) *service {
	t.Helper()
	s := &service{cdata: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
			http.Error(w, "no form", http.StatusBadRequest)
			return
		}
		s.asked = append(s.asked, r.PostForm.Encode())
		token := r.PostForm.Get("response")
		cdata, known := s.cdata[token]
		delete(s.cdata, token)
		if !known || r.PostForm.Get("secret") != "their secret" {
			_, _ = fmt.Fprint(w, `{"success":false,"error-codes":["timeout-or-duplicate"]}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"success":true,"challenge_ts":"2026-12-01T10:00:00Z","hostname":"shop.example","error-codes":[],"cdata":%q}`, cdata)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) challenger() *SiteVerify {
	return NewSiteVerify(s.URL, NewSecret([]byte("their secret")), s.Client())
}

// give makes a token, as the widget does for a buyer.
func (s *service) give(token, cdata string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cdata[token] = cdata
	return []byte(token)
}

// What every challenger promises.
func TestChallengers(t *testing.T) {
	for name, open := range map[string]func(*testing.T) (Challenger, func(posed []byte) []byte){
		"altcha": func(t *testing.T) (Challenger, func([]byte) []byte) {
			a := newAltcha(t, rand.Reader)
			return a, func(text []byte) []byte {
				var p posed
				if err := json.Unmarshal(text, &p); err != nil {
					t.Fatal(err)
				}
				return proofOf(t, p.solve(t))
			}
		},
		"siteverify": func(t *testing.T) (Challenger, func([]byte) []byte) {
			s, tokens := newService(t), 0
			return s.challenger(), func(text []byte) []byte {
				var p struct{ CData string }
				if err := json.Unmarshal(text, &p); err != nil {
					t.Fatal(err)
				}
				tokens++
				return s.give(fmt.Sprint("token-", tokens), p.CData)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			challenger, solve := open(t)
			task, other := testTask(), testTask()
			other.Claim[0]++
			judge := func(task Task, proof []byte) bool {
				ok, err := challenger.Solved(t.Context(), task, proof)
				if err != nil {
					t.Fatal(err)
				}
				return ok
			}
			text, err := challenger.Pose([]byte("before "), task)
			if err != nil || !bytes.HasPrefix(text, []byte("before {")) {
				t.Fatalf("posed %s, %v; want JSON appended", text, err)
			}
			text = text[len("before "):]
			if !judge(task, solve(text)) {
				t.Error("a solution is not taken")
			}
			if judge(other, solve(text)) {
				t.Error("a solution is taken for another claim")
			}
			for _, wrong := range []string{"", "x", strings.Repeat("a", proofMax+1), "\x00\xff", "a&secret=b"} {
				if judge(task, []byte(wrong)) {
					t.Errorf("%.20q is taken for a solution", wrong)
				}
			}
			proof := solve(text)
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() {
					if judge(other, proof) {
						t.Error("in a crowd a solution is taken for another claim")
					}
				})
			}
			callers.Wait()
		})
	}
}

func TestAServicesTokenIsSpentOnce(t *testing.T) {
	s := newService(t)
	task := testTask()
	task.Client = netip.MustParseAddr("203.0.113.9")
	token := s.give("once", "") // a service without cdata
	for i, want := range []bool{true, false} {
		if got, err := s.challenger().Solved(t.Context(), task, token); got != want || err != nil {
			t.Errorf("use %d: %v, %v; want %v", i, got, err, want)
		}
	}
	if want := "remoteip=203.0.113.9&response=once&secret=their+secret"; s.asked[0] != want {
		t.Errorf("asked with %s, want %s", s.asked[0], want)
	}
}

func TestWhereTheServiceDoesNotAnswerNobodyPasses(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"an error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"success":true}`, http.StatusBadGateway) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else", http.StatusFound) },
		"no JSON":    func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<p>success") },
		"an endless answer": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte(" "), siteVerifyAnswer+1))
		},
		"a dropped call":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"success as a text":  func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"success":"true"}`) },
		"success as a field": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `["success"]`) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(serve)
			t.Cleanup(server.Close)
			client := server.Client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			ok, err := NewSiteVerify(server.URL, NewSecret([]byte("their secret")), client).Solved(t.Context(), testTask(), []byte("token"))
			if ok || err == nil {
				t.Errorf("got %v, %v; want a fault", ok, err)
			}
			if err != nil && (strings.Contains(err.Error(), "their secret") || strings.Contains(err.Error(), "token")) {
				t.Errorf("the fault tells secrets: %v", err)
			}
		})
	}
}

func TestASlowServiceHoldsSoManyBuyersAtMost(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = fmt.Fprint(w, `{"success":true}`)
	}))
	t.Cleanup(server.Close)
	s := NewSiteVerify(server.URL, NewSecret([]byte("s")), server.Client())
	var callers sync.WaitGroup
	for range SiteVerifyMax {
		callers.Go(func() {
			if ok, err := s.Solved(t.Context(), testTask(), []byte("token")); !ok || err != nil {
				t.Errorf("got %v, %v", ok, err)
			}
		})
	}
	for range SiteVerifyMax {
		<-arrived
	}
	_, err := s.Solved(t.Context(), testTask(), []byte("token"))
	if no, ok := errors.AsType[shop.Refusal](err); !ok || no.Code != shop.Overloaded || no.RetryAfter == 0 {
		t.Errorf("one more got %v, want to be told to come again", err)
	}
	close(release)
	callers.Wait()
}
