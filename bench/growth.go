package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/bench/plot"
)

// growth is what was measured of a dimension, as it is kept and drawn.
type growth struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Axis     string    `json:"axis"`
	Machine  []string  `json:"machine"` // and the commit
	Measured time.Time `json:"measured"`
	Sizes    []int64   `json:"sizes"`
	Costs    []grown   `json:"costs"`
}

// grown is a cost at each size.
type grown struct {
	cost
	Reps []spread `json:"reps"`
}

// rounded leaves out digits that nobody measured.
func (c grown) rounded() grown {
	for _, reps := range c.Reps {
		for i := range reps {
			reps[i] = math.Round(reps[i]*1000) / 1000
		}
	}
	return c
}

// chooseDimensions returns the dimensions that are named between commas.
func (b *bench) chooseDimensions(names string) ([]dimension, error) {
	all := b.dimensions()
	if names == "" || names == "all" {
		return all, nil
	}
	var chosen []dimension
	for name := range strings.SplitSeq(names, ",") {
		at := slices.IndexFunc(all, func(d dimension) bool { return d.id == strings.TrimSpace(name) })
		if at < 0 {
			return nil, fmt.Errorf("nothing is measured that grows and is called %q; see -help", name)
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

// growAll measures dimensions, and shows, keeps and draws each as soon as it is
// known: the next one may take long.
func (b *bench) growAll(ctx context.Context, wanted []dimension, stdout io.Writer) error {
	var faults []error
	for _, d := range wanted {
		begun := time.Now()
		about := machine(ctx)
		measured, err := b.grow(ctx, d)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", d.id, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		g := growth{
			ID: d.id, Title: d.title, Axis: d.axis, Sizes: d.sizes,
			Machine: strings.Split(about, "\n"), Measured: begun.UTC().Truncate(time.Minute),
		}
		for i, cost := range d.costs {
			g.Costs = append(g.Costs, grown{cost, measured[i]}.rounded())
		}
		_, _ = fmt.Fprint(stdout, g.text())
		b.say("%s took %s", d.id, time.Since(begun).Round(time.Second))
		faults = append(faults, b.record(g))
	}
	return errors.Join(faults...)
}

// record keeps and draws what was measured, where that is asked for.
func (b *bench) record(g growth) error {
	if b.growth == "" {
		return nil
	}
	if err := keep(b.growth, g); err != nil || b.plots == "" {
		return err
	}
	return draw(b.growth, b.plots)
}

// text is a line for each cost.
func (g *growth) text() string {
	var to strings.Builder
	for _, c := range g.Costs {
		fmt.Fprintf(&to, "%-6s %s, %s:", g.ID, c.What, c.Unit)
		for i, size := range g.Sizes {
			fmt.Fprintf(&to, "  %s: %s", count(size), c.Reps[i])
		}
		to.WriteString("\n")
	}
	return to.String()
}

// keep writes a dimension into the file, in place of what was measured before.
func keep(file string, g growth) error {
	kept, err := read(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	at := slices.IndexFunc(kept, func(other growth) bool { return other.ID == g.ID })
	if at < 0 {
		kept = append(kept, g)
	} else {
		kept[at] = g
	}
	var lines []string // one for each: a file that people can compare
	for _, g := range kept {
		text, err := json.Marshal(g)
		if err != nil {
			return err
		}
		lines = append(lines, string(text))
	}
	return os.WriteFile(file, []byte("[\n"+strings.Join(lines, ",\n")+"\n]\n"), 0o644)
}

// read returns what was measured.
func read(file string) (all []growth, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// draw draws a picture of each dimension in the file.
func draw(file, folder string) error {
	all, err := read(file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for i := range all {
		figure := all[i].figure()
		if err := os.WriteFile(filepath.Join(folder, "scale-"+all[i].ID+".svg"), figure.SVG(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (g *growth) figure() plot.Figure {
	processor, _, _ := strings.Cut(g.Machine[0], ";")
	f := plot.Figure{
		Title: g.Title, Axis: g.Axis,
		Note: fmt.Sprintf("Median, least and greatest of %d. %s, %s.", len(g.Costs[0].Reps[0]), processor, g.Machine[len(g.Machine)-1]),
	}
	for _, c := range g.Costs {
		p := plot.Panel{Title: c.What + ", " + c.Unit}
		for i, size := range g.Sizes {
			reps := c.Reps[i]
			p.Points = append(p.Points, plot.Point{
				Size: float64(size), Name: count(size), Value: short(reps.median()),
				Median: reps.median(), Least: slices.Min(reps), Great: slices.Max(reps),
			})
		}
		f.Panels = append(f.Panels, p)
	}
	return f
}
