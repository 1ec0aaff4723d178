package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const listsURL = "/admin/api/v1/lists"

func entryURL(list, entry string) string {
	return listsURL + "/" + list + "?" + url.Values{"entry": {entry}}.Encode()
}

// wantLists wants GET to say so.
func (h *house) wantLists(want admin.Lists) {
	h.Helper()
	var got admin.Lists
	if err := json.Unmarshal([]byte(h.wants(h.ask("GET", listsURL, ""), http.StatusOK).body), &got); err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(admin.Entry{}, "At")); diff != "" {
		h.Errorf("-want +got\n%s", diff)
	}
}

func TestEntriesComeAndGo(t *testing.T) {
	h := open(t)
	h.wants(h.ask("GET", listsURL, ""), http.StatusOK, `{"block":[],"allow":[]}`)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second).Format("2006-01-02T15:04:05.000Z")
	h.wants(h.ask("PUT", entryURL("block", "203.0.113.0/24"), `{"reason":"a hoster’s","by":"ann","until":"`+until+`"}`), http.StatusCreated,
		`"entry":"203.0.113.0/24"`, `"until":"`+until+`"`, `"at":"20`)
	h.wants(h.ask("PUT", entryURL("block", "::ffff:203.0.113.0/120"), `{"reason":"a hoster’s","by":"bob","until":"`+until+`"}`), http.StatusOK)
	h.wants(h.ask("PUT", entryURL("block", "2001:DB8::1"), ""), http.StatusCreated, `{"entry":"2001:db8::1","at":`)
	h.wants(h.ask("PUT", entryURL("allow", "buyer:https://id.example/../a?b&c=d#e"), `{}`), http.StatusCreated)
	h.filed = []shop.Entry{{List: shop.Allow, Subject: shop.Subject{Buyer: "press"}, By: "allow.txt"}}
	h.wantLists(admin.Lists{
		Block: []admin.Entry{{Entry: "2001:db8::1"}, {Entry: "203.0.113.0/24", Until: until, Reason: "a hoster’s", By: "ann"}},
		Allow: []admin.Entry{{Entry: "buyer:https://id.example/../a?b&c=d#e"}, {Entry: "buyer:press", By: "allow.txt"}},
	})
	h.wants(h.ask("DELETE", entryURL("block", "2001:db8::1"), ""), http.StatusOK, `{"removed":true}`)
	h.wants(h.ask("DELETE", entryURL("block", "2001:db8::1"), ""), http.StatusOK, `{"removed":false}`)
	h.wants(h.ask("DELETE", entryURL("allow", "203.0.113.0/24"), ""), http.StatusOK, `{"removed":false}`)
	h.wants(h.ask("DELETE", entryURL("allow", "buyer:press"), ""), http.StatusConflict, `"code":"in_a_file"`, "allow.txt")
	h.wantLists(admin.Lists{
		Block: []admin.Entry{{Entry: "203.0.113.0/24", Until: until, Reason: "a hoster’s", By: "ann"}},
		Allow: []admin.Entry{{Entry: "buyer:https://id.example/../a?b&c=d#e"}, {Entry: "buyer:press", By: "allow.txt"}},
	})
	if h.listed != 8 {
		t.Errorf("the gate was told %d times, want 8", h.listed)
	}
}

func TestWhatIsNoEntryIsSaidSo(t *testing.T) {
	h := open(t)
	for path, want := range map[string]string{
		entryURL("block", "203.0.113.9/24"):                           "entry: has bits set",
		entryURL("block", ""):                                         "entry: is neither",
		listsURL + "/block":                                           "entry: is neither",
		entryURL("allow", "ann"):                                      "buyer:ID",
		entryURL("allow", "buyer:"):                                   "entry: buyer id has 0 bytes",
		entryURL("block", "10.0.0.1") + "&entry=10.0.0.2":             "appears twice",
		entryURL("block", "10.0.0.1") + "&until=2030-01-01T00:00:00Z": "known is entry",
	} {
		for _, method := range []string{"PUT", "DELETE"} {
			h.wants(h.ask(method, path, ""), http.StatusBadRequest, `"code":"malformed"`, want)
		}
	}
	for body, want := range map[string]string{
		`{"until":"tomorrow"}`: "until: write a time", `{"until":"2020-01-01T00:00:00Z"}`: "until: write a time to come",
		`{"reason":"a\nb"}`: "reason: write one line", `{"by":"` + strings.Repeat("x", 201) + `"}`: "by: write one line", `{"because":"x"}`: "does not fit",
	} {
		h.wants(h.ask("PUT", entryURL("block", "10.0.0.1"), body), http.StatusBadRequest, `"code":"malformed"`, want)
	}
	h.wants(h.ask("PUT", entryURL("grey", "10.0.0.1"), ""), http.StatusNotFound, `"code":"not_found"`)
	h.wantLists(admin.Lists{Block: []admin.Entry{}, Allow: []admin.Entry{}})
	if h.listed != 0 {
		t.Errorf("the gate was told %d times, want none", h.listed)
	}
}
