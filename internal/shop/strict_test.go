package shop_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
)

type wish struct {
	SKU      string  `json:"sku"`
	Quantity int64   `json:"quantity"`
	Note     *string `json:"note,omitempty"`
	Parts    []part  `json:"parts"`
	Plain    bool
	Left     string `json:"-"`
}

type part struct {
	Name string `json:"name"`
}

func TestOneStrictObjectIsRead(t *testing.T) {
	var got wish
	err := shop.DecodeStrict([]byte(` {"sku":"eu-42","quantity":1,"note":null,"parts":[{"name":"a"}],"Plain":true} `+"\n"), &got)
	want := wish{SKU: "eu-42", Quantity: 1, Parts: []part{{"a"}}, Plain: true}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestWhatJSONWouldLetPassIsRefused(t *testing.T) {
	for _, c := range []struct{ name, document, says string }{
		{"nothing", ``, "ends too early"},
		{"blanks", ` `, "ends too early"},
		{"half an object", `{"sku":`, "ends too early"},
		{"no closing brace", `{"sku":"a"`, "ends too early"},
		{"null", `null`, "not a JSON object"},
		{"a list", `[{}]`, "not a JSON object"},
		{"two objects", `{}{}`, "something follows"},
		{"a word behind", `{} x`, "something follows"},
		{"a byte order mark", "\ufeff{}", "not JSON"},
		{"a comment", `{/**/}`, "not JSON"},
		{"a trailing comma", `{"sku":"a",}`, "not JSON"},
		{"not UTF-8", "{\"sku\":\"\xff\"}", "not valid UTF-8"},
		{"an unknown field", `{"sku":"a","price":1}`, `price: is not a known field; known are Plain, note, parts, quantity, sku`},
		{"a field in other letters", `{"SKU":"a"}`, "SKU: is not a known field"},
		{"a field that JSON takes for another (ſ is a kind of s)", `{"ſku":"a"}`, "is not a known field"},
		{"a deep field in other letters", `{"parts":[{"Name":"a"}]}`, "parts[0].Name: is not a known field"},
		{"a field left out of JSON", `{"Left":"a"}`, "Left: is not a known field"},
		{"a duplicate", `{"sku":"a","sku":"b"}`, "sku: appears twice"},
		{"a duplicate written otherwise", `{"sku":"a","\u0073ku":"b"}`, "sku: appears twice"},
		{"a deep duplicate", `{"parts":[{"name":"a","name":"b"}]}`, "parts[0].name: appears twice"},
		{"null for a text", `{"sku":null}`, "sku: is null"},
		{"null in a list", `{"parts":[null]}`, "parts[0]: is null"},
		{"null for a list", `{"parts":null}`, "parts: is null"},
		{"a number for a text", `{"sku":1}`, "sku: is a number, which does not fit"},
		{"an object for a text", `{"sku":{}}`, "sku: is a object, which does not fit"},
		{"a fraction for an integer", `{"quantity":1.0}`, "quantity: is a number 1.0"},
		{"an exponent for an integer", `{"quantity":1e0}`, "quantity: is a number 1e0"},
		{"an integer out of range", `{"quantity":9223372036854775808}`, "quantity: is a number"},
		{"too deep", `{"sku":[[[[1]]]]}`, "nested deeper than 4"},
		{"very deep", `{"sku":` + strings.Repeat("[", 100_000), "nested deeper than 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got wish
			err := shop.DecodeStrict([]byte(c.document), &got)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want one that says %q", err, c.says)
			}
		})
	}
}

// What the strict reader takes is what any JSON reader finds in the document,
// under exactly the names of the type.
func FuzzDecodeStrict(f *testing.F) {
	for _, document := range []string{
		`{"sku":"eu-42","quantity":1}`, `{"SKU":"a","sku":"b"}`, `{"ſku":"a"}`, `{"sku":"a","sku":"b"}`, `{"parts":[{"name":"x"}],"Plain":true}`,
		`{"quantity":1e3}`, `{}{}`, `{"note":null}`, `{"sku":null}`, `[]`,
	} {
		f.Add([]byte(document))
	}
	known := map[string]bool{"sku": true, "quantity": true, "note": true, "parts": true, "Plain": true}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, lax wish
		if err := shop.DecodeStrict(data, &got); err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if err := json.Unmarshal(data, &lax); err != nil || !reflect.DeepEqual(got, lax) {
			t.Errorf("strict %+v, lax %+v, %v", got, lax, err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			if !known[name] {
				t.Errorf("the field %q passed", name)
			}
		}
	})
}
