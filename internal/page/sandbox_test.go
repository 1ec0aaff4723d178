package page

import (
	"strings"
	"testing"
	"time"
)

func payment() Sandbox {
	return Sandbox{
		State: SandboxOpen, Title: "Retro High ’85", Item: "EU 42", Quantity: 2, Amount: 25800, Currency: "EUR",
		PayBy:  time.Date(2026, 12, 1, 2, 10, 0, 0, time.UTC),
		PayURL: "/sandbox/1/pay", DeclineURL: "/sandbox/1/decline", LeaveURL: "/sandbox/1/leave",
		ReturnURL: "https://shop.example/s/retro-85#order=1",
	}
}

func TestTheSandboxAsksHowThePaymentEnds(t *testing.T) {
	document, err := newPages(t).SandboxPage(payment(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"Sandbox — no real money", "Retro High ’85", "EU 42", "258.00 EUR", "02:10:00 UTC",
		`method="post" action="/sandbox/1/pay"`, `action="/sandbox/1/decline"`, `action="/sandbox/1/leave"`,
	} {
		if !strings.Contains(string(document.Body), part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	if want := "form-action 'self' https://shop.example"; !strings.HasSuffix(document.Policy, want) {
		t.Errorf("the policy %s does not let a form end at the shop", document.Policy)
	}
}

func TestASandboxPaymentThatIsOverLeadsBackToTheShop(t *testing.T) {
	for _, state := range []SandboxState{SandboxPaid, SandboxEnded} {
		over := payment()
		over.State = state
		document, err := newPages(t).SandboxPage(over, "en")
		if err != nil {
			t.Fatal(err)
		}
		body := string(document.Body)
		if strings.Contains(body, "<form") || !strings.Contains(body, `href="https://shop.example/s/retro-85#order=1"`) {
			t.Errorf("%s: want a way back and no way to pay", state)
		}
	}
}

func TestTheSandboxRefusesAnUnknownState(t *testing.T) {
	odd := payment()
	odd.State = "odd"
	if _, err := newPages(t).SandboxPage(odd, ""); err == nil {
		t.Error("a state that is none was shown")
	}
}

func FuzzAnyHeaderIsALanguageThatIsSpoken(f *testing.F) {
	f.Add("zh-CN,zh;q=0.9,en;q=0.8")
	f.Add(",;=-,zh-")
	f.Fuzz(func(t *testing.T, header string) {
		if got := language(header); got != "en" && got != "zh-Hans" {
			t.Errorf("%q: got %s", header, got)
		}
	})
}

func TestTheFirstLanguageThatIsSpokenIsUsed(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "de-DE,de;q=0.9": "en", "zh-CN,zh;q=0.9,en;q=0.8": "zh-Hans", "zh": "zh-Hans", "zh-Hans-SG": "zh-Hans",
		"zh-TW,zh;q=0.9": "zh-Hans", "zh-TW,en": "en", "zh-Hant-HK": "en", "fr, zh-SG": "zh-Hans", "en,zh": "en",
	} {
		if got := language(header); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}
