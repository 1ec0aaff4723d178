package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTheShopsGuideRuns: whoever connects a shop runs docs/shop.md from top to
// bottom, and all that it says happens.
func TestTheShopsGuideRuns(t *testing.T) {
	n := serve(t, setup{args: []string{"--payments", "none"}, env: []string{"DOORBUSTER_BUYER_KEY=", "DOORBUSTER_ADMIN_TOKEN="}}) // its own keys, in its folder
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "shop.md"))
	if err != nil {
		t.Fatal(err)
	}
	guide := strings.NewReplacer("buyers=http://127.0.0.1:8080", "buyers="+n.buyers, "operators=http://127.0.0.1:8081", "operators="+n.operators,
		"data=./doorbuster-data", "data="+n.dir).Replace(string(text))
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)\n```sh\n(.*?)```\n").FindAllStringSubmatch(guide, -1) {
		script.WriteString(block[1] + "\necho\n")
		if strings.Contains(block[1], "sale publish") { // a reader is not as fast; ready is a node whose sales are in their phase
			script.WriteString("until curl -fsS $operators/readyz >ready.json; do sleep 0.1; done\n")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script.String())
	shell.Dir = dir
	shell.Env = append(environment(), "DOORBUSTER_BUYER_KEY=", "DOORBUSTER_ADMIN_TOKEN=", "PATH="+filepath.Dir(binary(t, plain))+":"+os.Getenv("PATH"))
	said, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	orders, err := os.ReadFile(filepath.Join(dir, "orders.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for what, pattern := range map[string]string{
		"the sale is there":            `(?m)^drop: created, (open|scheduled)$`,
		"the token is good":            `(?m)^good for the buyer "customer-4711" until 2`,
		"an order":                     `(?m)^order [0-9a-f]{32}$`,
		"where it is paid":             `"url":"https://shop\.example/checkout\?order=[0-9a-f]{32}"`,
		"what it costs":                `"amount":12900`,
		"it is nobody else's":          `"code":"not_found"`,
		"its money":                    `"buyer":"customer-4711".*"charges":\[\]`,
		"it is paid":                   `"status":"paid".*"reference":"payment-981"`,
		"it is to be paid back":        `"status":"refund_due"`,
		"it is paid back":              `"status":"refunded"`,
		"and the file for the account": `(?m)^[0-9a-f]{32},drop,customer-4711,eu-42,1,refunded,,12900,EUR,.*,refund-12$`,
	} {
		if !regexp.MustCompile(pattern).Match(append(said, orders...)) {
			t.Errorf("%s: nothing says %s in\n%s\n%s", what, pattern, said, orders)
		}
	}
}
