package config

import (
	"os"
	"strings"
	"testing"
)

func FuzzSaleFile(f *testing.F) {
	f.Add([]byte("{\"id\": \"a\"}"), false)
	f.Add([]byte("a: &a [*a]\n? [b]\n: c\n"), true)
	for _, name := range []string{"sneakers", "concert"} {
		text, err := os.ReadFile("../../examples/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, yaml bool) {
		path := "sale"
		if yaml {
			path = "sale.yaml"
		}
		sale, err := parseSale(path, data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), path) {
				t.Errorf("the fault does not name the file: %v", err)
			}
			return
		}
		if err := sale.Check(); err != nil {
			t.Errorf("read, but Check says %v", err)
		}
	})
}
