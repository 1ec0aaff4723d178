package page

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// SandboxState is how far a sandbox payment has come.
type SandboxState string

// The states of a sandbox payment.
const (
	SandboxOpen     SandboxState = "open"     // may be paid
	SandboxDeclined SandboxState = "declined" // an attempt failed; may be paid
	SandboxPaid     SandboxState = "paid"
	SandboxEnded    SandboxState = "ended" // can no longer be paid
)

// Sandbox is what the demo cashier's page shows. The three actions are asked
// for by POST.
type Sandbox struct {
	State      SandboxState
	Title      string // of the sale
	Item       string
	Quantity   int64
	Amount     int64     // minor units, all in all
	Currency   string    // ISO 4217
	PayBy      time.Time // zero: not shown
	PayURL     string
	DeclineURL string
	LeaveURL   string
	ReturnURL  string // back to the shop
}

type sandboxView struct {
	Sandbox        Sandbox
	Assets         string
	Lang           string
	Words          map[string]string
	Headline, Text string
	Total, PayBy   string
	Payable        bool
}

// SandboxPage renders the demo cashier's page in the first language of an
// Accept-Language header that it speaks, English otherwise. It must be served
// with Cache-Control: no-store.
func (p *Pages) SandboxPage(sandbox Sandbox, acceptLanguage string) (Document, error) {
	lang := language(acceptLanguage)
	words := p.words[lang]
	headline, ok := words[string(sandbox.State)+"_title"]
	if !ok {
		return Document{}, fmt.Errorf("sandbox page: no state %q", sandbox.State)
	}
	v := sandboxView{
		Sandbox: sandbox, Assets: "/assets/", Lang: lang, Words: words,
		Headline: headline, Text: words[string(sandbox.State)+"_text"],
		Total:   PlainMoney(shop.Money{Amount: sandbox.Amount, Currency: sandbox.Currency}),
		Payable: sandbox.State == SandboxOpen || sandbox.State == SandboxDeclined,
	}
	if !sandbox.PayBy.IsZero() {
		v.PayBy = strings.ReplaceAll(words["pay_by"], "{time}", sandbox.PayBy.UTC().Format("15:04:05 UTC"))
	}
	var body bytes.Buffer
	if err := p.sandbox.Execute(&body, v); err != nil {
		return Document{}, fmt.Errorf("sandbox page: %w", err)
	}
	policy, err := sandboxPolicy(sandbox.ReturnURL)
	if err != nil {
		return Document{}, err
	}
	return document(body.Bytes(), policy)
}

// sandboxPolicy lets the page's forms end at the shop too: browsers hold
// form-action against the redirect that answers a form.
func sandboxPolicy(returnURL string) (string, error) {
	address, err := url.Parse(returnURL)
	if err != nil {
		return "", fmt.Errorf("sandbox page: %w", err)
	}
	target := "'self'"
	if address.Host != "" {
		if strings.ContainsAny(address.Host, " ;,") {
			return "", errors.New("sandbox page: the return address is none")
		}
		target += " " + address.Scheme + "://" + address.Host
	}
	return "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action " + target, nil
}

// language picks en or zh-Hans. Traditional readers are better served by
// English than by the wrong script. Weights are rare and browsers sort, so the
// order of the tags decides.
func language(acceptLanguage string) string {
	for entry := range strings.SplitSeq(acceptLanguage, ",") {
		tag, _, _ := strings.Cut(entry, ";")
		tag = strings.ToLower(strings.TrimSpace(tag))
		base, region, _ := strings.Cut(tag, "-")
		switch {
		case base == "en":
			return "en"
		case base == "zh" && !traditional(region):
			return "zh-Hans"
		}
	}
	return "en"
}

func traditional(region string) bool {
	return strings.HasPrefix(region, "hant") || region == "tw" || region == "hk" || region == "mo"
}
