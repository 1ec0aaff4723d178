package main

import (
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/bench/load"
)

const someBooks = "id,sale,buyer,sku,quantity,status\n" +
	"a,s,BUYER-1,x,1,awaiting_payment\nb,s,BUYER-2,x,1,paid\nc,s,BUYER-3,x,1,refused\nd,s,BUYER-4,x,1,cancelled\n"

// booked is someBooks with the crowd's first buyers as its buyers.
func booked(t *testing.T) *books {
	t.Helper()
	text := someBooks
	for i, name := range []string{"BUYER-1", "BUYER-2", "BUYER-3", "BUYER-4"} {
		text = strings.ReplaceAll(text, name, buyerID(uint64(i+1)))
	}
	b, err := parseBooks(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBooksCountWhatIsHeldOrPaid(t *testing.T) {
	b := booked(t)
	if b.units != 2 || len(b.buyers) != 2 || b.buyers[buyerID(1)] != 1 {
		t.Errorf("got %d units of %v, want 2 of the first two buyers", b.units, b.buyers)
	}
	for _, text := range []string{"", "id,status\na,unheard-of\n", "id,status,quantity\na,paid,x\n"} {
		if _, err := parseBooks(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestWhatWasHeardIsHeldAgainstTheBooks(t *testing.T) {
	for _, c := range []struct {
		what  string
		won   []int64
		units int64
		want  reckoning
	}{
		{"all is well", []int64{0, 1}, 2, reckoning{}},
		{"one too many", []int64{0, 1}, 1, reckoning{oversold: 1}},
		{"one left", []int64{0, 1}, 3, reckoning{undersold: 1}},
		{"one lost", []int64{0, 1, 2}, 2, reckoning{unbooked: 1}},
		{"one never told", []int64{1}, 2, reckoning{untold: 1}},
		{"one lost, another never told", []int64{0, 3}, 2, reckoning{unbooked: 1, untold: 1}},
	} {
		told := &tally{first: 1, won: c.won}
		told.reckon(booked(t), c.units)
		if told.reckoning != c.want {
			t.Errorf("%s: got %+v, want %+v", c.what, told.reckoning, c.want)
		}
	}
}

func TestAnswersAreToldApart(t *testing.T) {
	told := &tally{others: map[string]int64{}}
	for i, a := range []struct {
		status int
		body   string
	}{
		{201, `{"id":"x"}`},
		{409, `{"status":409,"code":"sold_out","may_return":true}`},
		{409, `{"code":"missed"}`},
		{503, `{"code":"overloaded"}`},
		{503, `{"code":"overloaded"}`},
		{500, `oh`},
		{202, `{"id":"y"}`},
	} {
		told.hear(&load.Answer{Number: int64(i), Status: a.status, Body: []byte(a.body), After: time.Second})
	}
	const want = "1 × 201, 1 × 202, 1 × 409 missed, 1 × 409 sold_out, 1 × 500, 2 × 503 overloaded"
	if got := kinds([]*tally{told}); got != want || told.failed != 3 || told.answers() != 7 {
		t.Errorf("got %s, %d of 5xx, %d in all; want %s, 3, 7", got, told.failed, told.answers(), want)
	}
}

// One failure in a single run of three is not hidden by a median.
func TestOneFailureOfManyRunsFallsShort(t *testing.T) {
	good, bad := &tally{took: 2 * time.Second, soldOut: time.Second}, &tally{took: 2 * time.Second, soldOut: time.Second}
	bad.failed, bad.others = 1, map[string]int64{"503 overloaded": 1}
	verdicts := map[string]string{}
	for _, l := range tallyLines("x", []*tally{good, good, bad}) {
		verdicts[strings.TrimPrefix(l.what, "x: ")] = l.verdict()
	}
	if verdicts["5xx"] != "short" || verdicts["neither 201 nor sold_out"] != "short" || verdicts["oversold"] != "pass" {
		t.Errorf("got %v, want 5xx and others short, oversold pass", verdicts)
	}
}

func TestABrokenInvariantIsAnError(t *testing.T) {
	if err := audited([]byte(`{"ok":true,"invariants":[{"id":"I1","holds":true,"detail":"d"}]}`)); err != nil {
		t.Error(err)
	}
	err := audited([]byte(`{"ok":false,"invariants":[{"id":"I1","holds":true,"detail":"d"},{"id":"I2","holds":false,"detail":"off by one"}]}`))
	if err == nil || !strings.Contains(err.Error(), "I2: off by one") || strings.Contains(err.Error(), "I1") {
		t.Errorf("got %v, want I2 alone", err)
	}
}
