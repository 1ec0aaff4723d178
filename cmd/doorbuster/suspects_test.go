package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A script is suspected, asked for a challenge, shown with the reason, and
// believed from the moment on in which an operator says so.
func TestASuspectIsShownAndLetGo(t *testing.T) {
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "drop.yaml")
	text := "id: drop\ntitle: Drop\nopens_at: 2020-01-01T00:00:00Z\nchallenge: suspicious\nitems:\n" +
		"  - {sku: a, title: A, stock: 5, price: {amount: 100, currency: EUR}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := serveIn(data, "--sale", file, "--limit-buyer", "0", "--limit-address", "0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.stop() })
	verb := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		env := func(name string) string {
			return map[string]string{"DOORBUSTER_ADMIN_URL": n.operators, "DOORBUSTER_DATA": data}[name]
		}
		if code := run(t.Context(), args, program{getenv: env, stdout: &out, stderr: &out}); code != exitDone {
			t.Fatalf("%v: exit code %d: %s", args, code, out.String())
		}
		return out.String()
	}
	token := strings.TrimSpace(verb("token", "--buyer", "bot"))
	fetch := func(method, address, body, key string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // only read
		said, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(said)
	}
	order := func(key int) (int, string) {
		return fetch("POST", n.buyers+"/api/v1/sales/drop/orders", `{"sku":"a","quantity":1}`, "k"+strconv.Itoa(key))
	}
	const most = 1000 // a slow machine breaks the rhythm now and then
	asked := 0
	for ; asked < most; asked++ {
		if status, said := order(asked); status == http.StatusForbidden && strings.Contains(said, "challenge_required") {
			break
		}
	}
	if asked == most {
		t.Fatalf("%d orders as fast as they go, and the buyer is no suspect", most)
	}
	row := regexp.MustCompile(`(?m)^20\S+ .*\bdrop +buyer:bot +127\.0\.0\.0/24 +2 +regular +(challenge|now allowed) +1 +0$`)
	if shown := verb("list", "suspects", "--sale", "drop"); !strings.Contains(row.FindString(shown), "challenge") {
		t.Errorf("list suspects shows\n%s", shown)
	}
	if shown := verb("list", "suspects", "--sale", "other"); !strings.Contains(shown, "nobody was suspected") {
		t.Errorf("list suspects of another sale shows\n%s", shown)
	}
	if _, metrics := fetch("GET", n.operators+"/metrics", "", ""); !strings.Contains(metrics, `doorbuster_suspects_total{reason="regular"} 1`) {
		t.Error("the metrics do not count the suspect")
	}
	verb("list", "allow", "buyer:bot", "--reason", "our own test")
	if status, said := order(asked); status == http.StatusForbidden {
		t.Errorf("after the allow the same order is answered %d %s", status, said)
	}
	if shown := verb("list", "suspects"); !strings.Contains(row.FindString(shown), "now allowed") {
		t.Errorf("list suspects shows, after the allow,\n%s", shown)
	}
}
