package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const sneakers = `# a drop
id: retro-85
title: Retro High ’85
opens_at: 2026-12-01T10:00:00+08:00
hold: 2m
guests: true
items:
  - sku: eu-42
    title: "42"
    stock: 500
    price: {amount: 12900, currency: EUR}
`

func TestASaleFileIsRead(t *testing.T) {
	sale, err := config.ReadSale(write(t, "sale.yaml", sneakers))
	if err != nil {
		t.Fatal(err)
	}
	want := shop.Sale{
		ID: "retro-85", Title: "Retro High ’85", OpensAt: time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC), Hold: 2 * time.Minute,
		LimitPerBuyer: 1, Guests: true, Challenge: "never", Early: "normal",
		Items: []shop.Item{{SKU: "eu-42", Title: "42", Stock: 500, Price: shop.Money{Amount: 12900, Currency: "EUR"}}},
	}
	if diff := cmp.Diff(want, sale); diff != "" {
		t.Errorf("sale (-want +got):\n%s", diff)
	}
	again, err := config.ReadSale(write(t, "sale.json", string(shop.EncodeSale(sale))))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sale, again); diff != "" {
		t.Errorf("the same sale as JSON (-yaml +json):\n%s", diff)
	}
}

func TestTheExamplesAreSales(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		if _, err := config.ReadSale(file); err != nil {
			t.Error(err)
		}
	}
}

func TestAFaultInASaleFileNamesItsLine(t *testing.T) {
	change := func(from, to string) string { return strings.Replace(sneakers, from, to, 1) }
	for _, c := range []struct{ name, text, says string }{
		{"a wrong value", change("500", "-5"), ":10: items[0].stock: -5 does not fit"},
		{"text where a number belongs", change("500", `"500"`), ":10: items[0].stock: is the text"},
		{"a missing part names the whole", change("    title: \"42\"\n", ""), ":8: items[0].title: missing"},
		{"a missing field", change("title: Retro High ’85\n", ""), "sale.yaml: title: missing"},
		{"an unknown field", change("guests", "guest"), ":6: guest: is not a known field"},
		{"a number as title", change(`"42"`, "42"), ":9: items[0].title: is the number 42; write text in quotes"},
		{"a date of YAML's own", change("2026-12-01T10:00:00+08:00", "2026-12-01"), ":4: opens_at: \"2026-12-01\" is not a time"},
		{"yes is text", change("true", "yes"), ":6: guests: is the text"},
		{"a duplicate", sneakers + "hold: 3m\n", ":12: hold is set in line 5 already"},
		{"an alias", change("EUR}", "&e EUR}"), ":11: has an anchor"},
		{"a bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", ":1: has an anchor"},
		{"a tag", change("500", "!!int 500"), ":10: has the tag !!int"},
		{"a merged key", change("{amount", "{<<: {}, amount"), ":11: a field's name must be plain text"},
		{"an octal number", change("500", "0500"), ":10: the number 0500 has a form that can be misread"},
		{"a hexadecimal number", change("500", "0x1f4"), ":10: the number 0x1f4"},
		{"digits in groups", change("500", "1_000"), ":10: the number 1_000"},
		{"not a number", change("500", ".nan"), ":10: the number .nan"},
		{"two documents", sneakers + "---\nid: other\n", "a second document begins here"},
		{"not YAML", "id: [\n", ": not YAML: "},
		{"a tab", "id:\n\ttitle: x\n", ":2: not YAML: "},
		{"a list", "- a\n", "is not a list of fields"},
		{"nothing", "", "sale.yaml: is empty"},
		{"too deep", "a: [[[[[[[[[[1]]]]]]]]]]\n", "nested deeper"},
		{"too long", "# " + strings.Repeat("x", shop.DocumentMax), "has more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.ReadSale(write(t, "sale.yaml", c.text))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestAFileThatIsNotThereIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, err := config.ReadSale(path)
	if err == nil || err.Error() != path+": no such file or directory" {
		t.Errorf("error is %v", err)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:80\nhosts: [a, b]\nlimit-buyer: 5:10\n"))
	f.Add([]byte("log_level: debug\nredis-url: redis://a:1,b:2\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "node.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Read(config.Flags{File: &path}, environment())
		if err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
		if c == nil {
			t.Error("nothing to show")
		}
	})
}
