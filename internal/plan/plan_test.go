package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func million() *Crowd {
	return &Crowd{
		Buyers: 1_000_000, Stock: 10_000, Rush: 10 * time.Second, Watch: 10 * time.Minute, Tries: 1.2, Peak: 3, CDN: true,
		NodeCores: 4, ProxyCores: 8, CoreHour: 0.05, Gigabyte: 0.05,
	}
}

func figures(c *Crowd) map[string]string {
	all := map[string]string{}
	for _, section := range Make(c) {
		for _, part := range section.Parts {
			all[part.What] = part.Figure
		}
	}
	return all
}

// Worked by hand, as docs/capacity.md does.
func TestAPlanIsTheArithmeticOfItsFigures(t *testing.T) {
	got := figures(million())
	for what, want := range map[string]string{
		"orders asked for, in the worst second":      "360,000/s", // 1 M × 1.2 ÷ 10 × 3
		"node cores for refusals":                    "3.7",       // × 6.1 µs ÷ 0.6
		"node cores for orders":                      "1.9",       // 20,000 × 56 µs ÷ 0.6
		"nodes, one of them spare":                   "3 of 4 cores",
		"balancer cores":                             "7.8", // 360,000 × 11.2 µs ÷ 0.6, and 3,333 × 200 µs ÷ 0.6
		"balancers, one of them spare":               "2 of 8 cores",
		"connections that nodes hold from balancers": "48,000",
		"all units ordered within":                   "500ms",
		"Redis masters, each with a replica":         "1",
		"PostgreSQL":                                 "2 cores",
		"its connections":                            "57",
		"order requests, in":                         "1.3 Gbit/s",
		"answers, out":                               "1.1 Gbit/s",
		"state polls, from the CDN":                  "2.9 Gbit/s",
		"pages":                                      "15.9 GB, 212 Mbit/s",
		"nodes and balancers":                        "2.80", // (12 + 16) cores × 2 h × 0.05
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
}

func TestWithoutACDNNodesServeThePolls(t *testing.T) {
	crowd := million()
	crowd.CDN = false
	got := figures(crowd)
	if got["node cores for polls"] != "8.3" || got["state polls, from the nodes"] == "" || got["nodes, one of them spare"] != "5 of 4 cores" {
		t.Errorf("got %v", got)
	}
}

func TestFewAreServedByTheLeastThereIs(t *testing.T) {
	crowd := million()
	crowd.Buyers, crowd.Stock = 50, 10
	got := figures(crowd)
	for what, want := range map[string]string{
		"nodes, one of them spare": "2 of 4 cores", "Redis masters, each with a replica": "1", "all units ordered within": "600ms",
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
}

func TestEveryFaultOfACrowdIsToldAtOnce(t *testing.T) {
	if faults := million().Check(); faults != nil {
		t.Fatalf("a sound crowd has faults: %v", faults)
	}
	var fields []string
	for _, fault := range (&Crowd{CoreHour: -1, Gigabyte: -1}).Check() {
		fields = append(fields, fault.Field)
	}
	want := []string{
		"--buyers", "--stock", "--rush", "--watch", "--tries", "--peak", "--node-cores", "--proxy-cores", "--core-hour", "--gigabyte",
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCountsAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]int64{"500": 500, "10k": 10_000, "1.5M": 1_500_000, "2G": 2_000_000_000} {
		if got, err := ParseCount(text); got != want || err != nil {
			t.Errorf("ParseCount(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "ten", "-1", "1e9", "1 M", "0x10", "NaN", "9999999G"} {
		if got, err := ParseCount(text); err == nil || !strings.Contains(err.Error(), "write such as") {
			t.Errorf("ParseCount(%q) = %d, %v; want an error that says what to write", text, got, err)
		}
	}
}
