package gate

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRatesAreReadAsWritten(t *testing.T) {
	for text, want := range map[string]Rate{
		"50:100":          {50, 100},
		"50":              {50, 50},
		"0":               {},
		"0:5":             {},
		"0.0":             {},
		"0.5":             {0.5, 1},
		"2.5":             {2.5, 3},
		"0.25:4":          {0.25, 4},
		"5:10":            {5, 10},
		"1000000:1000000": {1e6, 1e6},
		"0.01:36":         {0.01, 36},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestAWrongRateSaysWhatToWrite(t *testing.T) {
	for text, part := range map[string]string{
		"":                       "write RATE or RATE:BURST",
		"fast":                   "write RATE or RATE:BURST",
		"-5":                     "write RATE or RATE:BURST",
		"1e3":                    "write RATE or RATE:BURST",
		"inf":                    "write RATE or RATE:BURST",
		"NaN":                    "write RATE or RATE:BURST",
		"0x10":                   "write RATE or RATE:BURST",
		"1_000":                  "write RATE or RATE:BURST",
		" 5":                     "write RATE or RATE:BURST",
		"5/s":                    "write RATE or RATE:BURST",
		":":                      "write RATE or RATE:BURST",
		".":                      "write RATE or RATE:BURST",
		"5:":                     "write RATE:BURST",
		"5:x":                    "write RATE:BURST",
		"5:1.5":                  "write RATE:BURST",
		"5:-1":                   "write RATE:BURST",
		"5:10:20":                "write RATE:BURST",
		"5:99999999999999999999": "write RATE:BURST",
		"5:+1":                   "write RATE:BURST",
		"5:0":                    "burst 0; it may be 1 to 1000000",
		"5:2000000":              "burst 2000000; it may be 1 to 1000000",
		"0.001":                  "0.001 requests a second; it may be 0 (off) or 0.01 to 1000000",
		"2000000":                "2000000 requests a second; it may be 0 (off) or 0.01 to 1000000",
		"0.01:100":               "write a smaller burst or a higher rate",
	} {
		rate, err := ParseRate(text)
		if err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", text, rate)
			continue
		}
		if !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("ParseRate(%q): %q does not name the text and say %q", text, err, part)
		}
	}
}

func TestARateSurvivesWritingAndReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Rate{
			PerSecond: rapid.Float64Range(1, rateMax).Draw(t, "rate"),
			Burst:     rapid.IntRange(1, 3600).Draw(t, "burst"),
		}
		got, err := ParseRate(want.String())
		if err != nil || got != want {
			t.Fatalf("ParseRate(%q) = %v, %v; want %v", want, got, err, want)
		}
	})
}
