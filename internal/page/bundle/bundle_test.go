package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDistIsWhatTheSourcesBuildTo(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	want, err := build(filepath.Join(root, "web"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	dist := os.DirFS(filepath.Join(root, "internal", "page", "dist"))
	err = fs.WalkDir(dist, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		got[name], err = fs.ReadFile(dist, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("internal/page/dist is stale; run: go run ./internal/page/bundle\n(-want +got)\n%.2000s", diff)
	}
}

func TestABrokenSourceIsNamedWithItsLine(t *testing.T) {
	web := t.TempDir()
	if err := os.CopyFS(web, os.DirFS(filepath.Join("..", "..", "..", "web"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(web, "buyer", "clock.js"), []byte("let x = 1;\nlet x = 2;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := build(web)
	if err == nil {
		t.Fatal("a source that declares a name twice was built")
	}
	if want := "web/buyer/clock.js:2"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want it to name %s", err, want)
	}
}
