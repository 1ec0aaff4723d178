//go:build !race

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The figures of a run this short mean nothing; that there are any does.
func TestEveryRowIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; left to make test")
	}
	results := filepath.Join(t.TempDir(), "RESULTS.md")
	var shown bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-dir", t.TempDir(), "-results", results}, &shown, t.Output()); err != nil {
		t.Fatalf("%v\n%s", err, shown.String())
	}
	written, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows() {
		if !strings.Contains(string(written), "| "+r.id+" | ") {
			t.Errorf("the table has no line of %s:\n%s", r.id, written)
		}
	}
	if strings.Contains(shown.String(), "not measured") {
		t.Errorf("some row was not measured:\n%s", shown.String())
	}
}

func TestEveryDimensionIsMeasuredAndDrawn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; left to make test")
	}
	file, plots := filepath.Join(t.TempDir(), "scale.json"), t.TempDir()
	var shown bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-scale", "all", "-dir", t.TempDir(), "-growth", file, "-plots", plots}, &shown, t.Output()); err != nil {
		t.Fatalf("%v\n%s", err, shown.String())
	}
	for _, d := range (&bench{settings: quick()}).dimensions() {
		if drawing, err := os.ReadFile(filepath.Join(plots, "scale-"+d.id+".svg")); err != nil || !strings.Contains(string(drawing), d.title) {
			t.Errorf("%s is not drawn: %v", d.id, err)
		}
	}
}
