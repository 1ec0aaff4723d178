package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSizesGrowTenfold(t *testing.T) {
	for _, c := range []struct {
		least, most int64
		want        []int64
	}{{1, 1000, []int64{1, 10, 100, 1000}}, {10, 50, []int64{10, 50}}, {100, 5, []int64{5}}} {
		if got := decades(c.least, c.most); !slices.Equal(got, c.want) {
			t.Errorf("from %d to %d: %v, want %v", c.least, c.most, got, c.want)
		}
	}
}

func TestOnlyDimensionsThatExistAreChosen(t *testing.T) {
	b := &bench{settings: full()}
	chosen, err := b.chooseDimensions("sales, ledger")
	if err != nil || len(chosen) != 2 || chosen[0].id != "sales" || chosen[1].id != "ledger" {
		t.Errorf("got %v, %v; want sales and ledger", chosen, err)
	}
	if _, err := b.chooseDimensions("weather"); err == nil {
		t.Error("weather was chosen; there is none")
	}
}

// grownSales is a dimension whose orders cost as much as given, twice.
func grownSales(id string, perOrder float64) growth {
	return growth{
		ID: id, Title: "How cost grows", Axis: "sales", Machine: []string{"A processor, 2 cores; Linux", "commit abc"},
		Sizes: []int64{1, 1000},
		Costs: []grown{{cost{"CPU per order", "µs"}, []spread{{perOrder, perOrder}, {2 * perOrder, 2 * perOrder}}}},
	}
}

func TestADimensionIsKeptInPlaceOfItsLast(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scale.json")
	for _, g := range []growth{grownSales("sales", 100), grownSales("skus", 70), grownSales("sales", 80)} {
		if err := keep(file, g); err != nil {
			t.Fatal(err)
		}
	}
	all, err := read(file)
	if err != nil || len(all) != 2 || all[0].ID != "sales" || all[0].Costs[0].Reps[0].median() != 80 || all[1].ID != "skus" {
		t.Errorf("kept %v, %v; want the later sales, and skus", all, err)
	}
}

func TestWhatIsKeptIsDrawnWithoutMeasuring(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "scale.json")
	if err := keep(file, grownSales("sales", 12.3)); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-growth", file, "-plots", folder}, &bytes.Buffer{}, t.Output()); err != nil {
		t.Fatal(err)
	}
	drawing, err := os.ReadFile(filepath.Join(folder, "scale-sales.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"How cost grows", "CPU per order, µs", ">1 k<", ">12.3<", "of 2. A processor, 2 cores, commit abc."} {
		if !strings.Contains(string(drawing), want) {
			t.Errorf("the drawing does not say %q:\n%s", want, drawing)
		}
	}
}

func TestNothingIsDrawnFromNowhere(t *testing.T) {
	if err := run(t.Context(), []string{"-plots", t.TempDir()}, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("drawn without a file")
	}
}
