package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"testing"
)

// drawn is what a reader sees of a file: the dots, and what is written.
type drawn struct {
	width, height float64
	dots          [][2]float64
	texts         []string
}

func look(t *testing.T, svg []byte) drawn {
	t.Helper()
	var seen drawn
	number := func(of xml.StartElement, name string) float64 {
		at := slices.IndexFunc(of.Attr, func(a xml.Attr) bool { return a.Name.Local == name })
		value, err := strconv.ParseFloat(of.Attr[at].Value, 64)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for reader := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := reader.Token()
		if errors.Is(err, io.EOF) {
			return seen
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch element.Name.Local {
		case "svg":
			seen.width, seen.height = number(element, "width"), number(element, "height")
		case "circle":
			seen.dots = append(seen.dots, [2]float64{number(element, "cx"), number(element, "cy")})
		case "text":
			var text string
			if err := reader.DecodeElement(&text, &element); err != nil {
				t.Fatal(err)
			}
			seen.texts = append(seen.texts, text)
		}
	}
}

func points(costs ...float64) []Point {
	var all []Point
	for i, cost := range costs {
		size := math.Pow10(i)
		all = append(all, Point{Size: size, Name: strconv.Itoa(int(size)), Median: cost, Least: cost * 0.9, Great: cost * 1.1})
	}
	return all
}

func TestAFigureShowsEachCost(t *testing.T) {
	f := Figure{
		Title: "orders < refusals & more", Axis: "sales", Note: "measured",
		Panels: []Panel{{Title: "flat", Points: points(7, 7, 7)}, {Title: "grows", Points: points(1, 20, 300)}},
	}
	seen := look(t, f.SVG())
	if len(seen.dots) != 6 {
		t.Fatalf("%d dots, want 6", len(seen.dots))
	}
	flat, grows := seen.dots[:3], seen.dots[3:]
	if flat[0][1] != flat[2][1] {
		t.Errorf("the same cost at heights %v and %v", flat[0][1], flat[2][1])
	}
	if grows[0][1] <= grows[1][1] || grows[1][1] <= grows[2][1] {
		t.Errorf("a growing cost does not rise: %v", grows)
	}
	if first, second := flat[1][0]-flat[0][0], flat[2][0]-flat[1][0]; math.Abs(first-second) > 0.2 {
		t.Errorf("ten times as much is %.1f, then %.1f away", first, second)
	}
	for _, dot := range seen.dots {
		if dot[0] < 0 || dot[0] > seen.width || dot[1] < 0 || dot[1] > seen.height {
			t.Errorf("a dot at %v, outside of %v × %v", dot, seen.width, seen.height)
		}
	}
	for _, want := range []string{"orders < refusals & more", "measured", "flat", "grows", "sales", "100"} {
		if !slices.Contains(seen.texts, want) {
			t.Errorf("%q is not written: %q", want, seen.texts)
		}
	}
}

func TestManyPanelsStandInTwoRows(t *testing.T) {
	f := Figure{Panels: []Panel{{Points: points(1)}, {Points: points(1)}, {Points: points(1)}, {Points: points(1)}}}
	seen := look(t, f.SVG())
	if first, third := seen.dots[0], seen.dots[2]; first[0] != third[0] || first[1] >= third[1] || third[1] > seen.height {
		t.Errorf("the third of four is at %v, the first at %v", third, first)
	}
}

func TestAGridReachesAboveWhatItShows(t *testing.T) {
	for _, most := range []float64{0.03, 0.99, 1, 7, 49.9, 50, 123, 8765} {
		p := Panel{Points: []Point{{Great: most}}}
		step, top := p.scale()
		if lines := top / step; top < most || top > 2*most || lines < 2 || lines > 6 {
			t.Errorf("up to %v: %v lines to %v", most, lines, top)
		}
	}
}

func TestSizesStandWhereTheyBelong(t *testing.T) {
	for _, c := range []struct{ sizes, want []float64 }{
		{[]float64{1, 10, 100}, []float64{0, 0.5, 1}},
		{[]float64{0, 100_000, 1_000_000}, []float64{0, 0.5, 1}},
		{[]float64{1, 2, 3}, []float64{0, 0.5, 1}},
		{[]float64{5}, []float64{0}},
	} {
		var p Panel
		for _, size := range c.sizes {
			p.Points = append(p.Points, Point{Size: size})
		}
		if got := p.places(); !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("%v stand at %v, want %v", c.sizes, got, c.want)
		}
	}
}
