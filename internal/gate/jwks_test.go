package gate

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shopServer answers in memory, so that a test's clock can stand still.
type shopServer struct {
	mu     sync.Mutex
	status int
	body   []byte
	asked  []time.Time
}

func (s *shopServer) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	answer := httptest.NewRecorder()
	answer.WriteHeader(s.status)
	_, _ = answer.Write(s.body)
	return answer.Result(), nil
}

func (s *shopServer) set(status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

func (s *shopServer) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// running starts keys that are fetched from server until the test ends.
func running(t *testing.T, server *shopServer) *JWKS {
	t.Helper()
	keys, err := NewJWKS("https://shop.example/keys", &http.Client{Transport: server}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- keys.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return keys
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAnUnknownKeyIDFetchesTheKeysOnceInAWhile(t *testing.T) {
	shop := mustShopKeys(t)
	set := shop.jwks(t)
	synctest.Test(t, func(t *testing.T) {
		server := &shopServer{status: http.StatusOK, body: document(t, set["r"])}
		verifier := newVerifier(t, running(t, server))
		server.set(http.StatusOK, document(t, set["r"], set["e"]))
		fresh := []byte(shop.sign(t, jwt.SigningMethodES256, "e", shop.ec))
		stranger := []byte(shop.sign(t, jwt.SigningMethodES256, "x", shop.ec))

		for range 1000 {
			_, _ = verifier.Verify(fresh, testNow)
		}
		pass(keysGap - time.Second)
		if got := server.times(); got != 1 {
			t.Fatalf("fetched %d times within the gap, want 1", got)
		}
		pass(time.Second)
		if _, err := verifier.Verify(fresh, testNow); err != nil || server.times() != 2 {
			t.Fatalf("after the gap: %v after %d fetches, want the new key after 2", err, server.times())
		}
		for range 60 { // a minute of unknown key ids
			_, _ = verifier.Verify(stranger, testNow)
			pass(time.Second)
		}
		if got := server.times(); got < 7 || got > 8 {
			t.Errorf("fetched %d times in all, want one in each 10 s", got)
		}
	})
}

func TestTheKeysAreFetchedEveryQuarterOfAnHour(t *testing.T) {
	set := mustShopKeys(t).jwks(t)
	synctest.Test(t, func(t *testing.T) {
		server := &shopServer{status: http.StatusOK, body: document(t, set["r"])}
		running(t, server)
		pass(time.Hour + time.Minute)
		if got := server.times(); got != 5 {
			t.Errorf("fetched %d times in an hour and a minute, want 5", got)
		}
	})
}

func TestAFailingShopKeepsItsKeysAndIsLeftInPeace(t *testing.T) {
	shop := mustShopKeys(t)
	set := shop.jwks(t)
	synctest.Test(t, func(t *testing.T) {
		server := &shopServer{status: http.StatusOK, body: document(t, set["e"])}
		verifier := newVerifier(t, running(t, server))
		token := []byte(shop.sign(t, jwt.SigningMethodES256, "e", shop.ec))
		stranger := []byte(shop.sign(t, jwt.SigningMethodES256, "x", shop.ec)) // asks for a fetch
		for _, failure := range []struct {
			status int
			body   string
		}{{500, ""}, {404, "{}"}, {200, "not JSON"}, {200, `{"keys":[]}`}, {200, strings.Repeat(" ", keysMax+1)}} {
			server.set(failure.status, []byte(failure.body))
			before := server.times()
			for range 600 {
				_, _ = verifier.Verify(stranger, testNow)
				pass(time.Second)
			}
			if asked := server.times() - before; asked > 16 {
				t.Errorf("asked %d times in ten minutes of failing, want about one a minute", asked)
			}
			if _, err := verifier.Verify(token, testNow); err != nil {
				t.Errorf("after %d %.10q: %v", failure.status, failure.body, err)
			}
		}
		server.set(http.StatusOK, document(t, set["d"]))
		pass(keysBackoffMax)
		if _, err := verifier.Verify(token, testNow); err == nil {
			t.Error("the shop is well again, and the withdrawn key is still good")
		}
	})
}

func TestAnAddressWithATokenIsNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })}
		var log bytes.Buffer
		keys, err := NewJWKS("https://shop.example/keys?access_token=canary", gone, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- keys.Run(ctx) }()
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if said := log.String(); strings.Contains(said, "canary") || !strings.Contains(said, "ask shop.example for keys: unexpected EOF") {
			t.Errorf("logged: %s", said)
		}
		captcha := NewSiteVerify("https://captcha.example/verify?key=canary", NewSecret([]byte("s")), gone)
		if _, err := captcha.ask(ctx, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("the captcha's fault is %v", err)
		}
	})
}

func TestASlowShopIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waited := make(chan time.Duration, 100)
		slow := roundTrip(func(request *http.Request) (*http.Response, error) {
			start := time.Now()
			<-request.Context().Done()
			waited <- time.Since(start)
			return nil, request.Context().Err()
		})
		keys, err := NewJWKS("https://shop.example/keys", &http.Client{Transport: slow}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- keys.Run(ctx) }()
		if got := <-waited; got != keysTimeout {
			t.Errorf("waited %s, want %s", got, keysTimeout)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }
