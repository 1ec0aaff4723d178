package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// SiteVerifyMax is how many orders may be judged elsewhere at once: with the
	// 100 ms that such services take, it is 2,500 a second.
	SiteVerifyMax     = 256
	siteVerifyWait    = 3 * time.Second // for one judgement; the buyer waits for it
	siteVerifyAnswer  = 16 << 10        // bytes; these answers have some hundred
	siteVerifyRequest = "application/x-www-form-urlencoded"
)

// SiteVerify lets somebody else judge, by the protocol that Turnstile, hCaptcha
// and reCAPTCHA share: the page shows their widget and sends its token, which
// they take once. What binds a token to its claim is that the claim is decided
// by then, or the token spent; and, with Turnstile, the claim in its cdata.
// Where nobody answers, nobody passes.
type SiteVerify struct {
	address string
	secret  Secret
	client  *http.Client
	places  chan struct{}
}

// NewSiteVerify asks at the address with the secret that the service gave.
func NewSiteVerify(address string, secret Secret, client *http.Client) *SiteVerify {
	return &SiteVerify{address: address, secret: secret, client: client, places: make(chan struct{}, SiteVerifyMax)}
}

// Pose implements Challenger: the shop's own script knows its widget, and is
// told what to put into cdata.
func (*SiteVerify) Pose(to []byte, task Task) ([]byte, error) {
	return fmt.Appendf(to, `{"siteverify":true,"cdata":"%s"}`, task.Claim), nil
}

// Solved implements Challenger.
func (s *SiteVerify) Solved(ctx context.Context, task Task, proof []byte) (bool, error) {
	if len(proof) > proofMax {
		return false, nil
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return false, shop.Refusal{
			Code: shop.Overloaded, RetryAfter: siteVerifyWait,
			Detail: "Too many orders wait for their check; ask again with the same Idempotency-Key.",
		}
	}
	ctx, cancel := context.WithTimeout(ctx, siteVerifyWait)
	defer cancel()
	form := url.Values{"secret": {string(s.secret.Reveal())}, "response": {string(proof)}}
	if task.Client.IsValid() {
		form.Set("remoteip", task.Client.String())
	}
	judged, err := s.ask(ctx, form)
	if err != nil {
		return false, fmt.Errorf("have a challenge judged: %w", err)
	}
	return judged.Success && (judged.CData == "" || judged.CData == task.Claim.String()), nil
}

// judgement is what the service says.
type judgement struct {
	Success bool   `json:"success"`
	CData   string `json:"cdata"`
}

func (s *SiteVerify) ask(ctx context.Context, form url.Values) (j judgement, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address, strings.NewReader(form.Encode()))
	if err != nil {
		return j, err
	}
	request.Header.Set("Content-Type", siteVerifyRequest)
	response, err := s.client.Do(request)
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		err = wrong.Err // the address may hold a key among its parameters
	}
	if err != nil {
		return j, fmt.Errorf("ask %s: %w", request.URL.Host, err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end, or given up
	if response.StatusCode != http.StatusOK {
		return j, fmt.Errorf("the service answers %s", response.Status)
	}
	err = json.NewDecoder(io.LimitReader(response.Body, siteVerifyAnswer)).Decode(&j)
	return j, err
}
