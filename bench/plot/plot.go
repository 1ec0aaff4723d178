// Package plot draws what something costs at a few sizes, as an SVG file for
// a document: one panel for each cost. It is small enough to be
// its own; a library for plots would bring fonts and formats that nobody needs
// here.
package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
)

// Figure is one file.
type Figure struct {
	Title  string
	Axis   string // what the sizes count
	Note   string // below: where the figures come from
	Panels []Panel
}

// Panel shows one cost. Its points are in the order of their sizes.
type Panel struct {
	Title  string // with the unit
	Points []Point
}

// Point is a cost at one size, and what the size and the cost are called.
type Point struct {
	Size                 float64
	Name, Value          string
	Median, Least, Great float64
}

// Lengths in pixels.
const (
	panelWidth, panelHeight     = 300, 250
	left, right, top, bottom    = 46, 22, 34, 44 // from a panel's edge to its axes
	titleHeight, noteHeight     = 34, 22
	whisker, dot, labelDistance = 4, 3.5, 9
)

// rowMax is how many panels side by side can still be read in a column of text.
const rowMax = 3

// head has colours that stand out from the paper that it brings along: a page
// in dark mode would else swallow the text.
const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img">
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 } .panel { font-weight: 600 } .note, .tick { fill: #57606a; font-size: 11px }
.axis { stroke: #57606a } .grid { stroke: #d0d7de } .line { stroke: #0969da; stroke-width: 2; fill: none }
.whisker { stroke: #0969da } .dot { fill: #0969da } .value { fill: #0550ae; font-size: 11px; stroke: #ffffff; stroke-width: 3px; paint-order: stroke }
</style>
<rect width="%[1]d" height="%[2]d" rx="8" fill="#ffffff"/>
`

// SVG draws the figure.
func (f *Figure) SVG() []byte {
	columns := len(f.Panels)
	if columns > rowMax {
		columns = (columns + 1) / 2
	}
	rows := (len(f.Panels) + columns - 1) / columns
	width, height := panelWidth*columns, titleHeight+panelHeight*rows+noteHeight
	to := &canvas{}
	fmt.Fprintf(&to.to, head, width, height)
	fmt.Fprintf(&to.to, "<title>%s</title>\n", escaped(f.Title))
	to.text("title", "start", 14, 24, f.Title)
	for i := range f.Panels {
		f.Panels[i].draw(to, float64(i%columns*panelWidth), float64(titleHeight+i/columns*panelHeight), f.Axis)
	}
	to.text("note", "start", 14, float64(height)-10, f.Note)
	to.to.WriteString("</svg>\n")
	return to.to.Bytes()
}

// canvas is the file that is written.
type canvas struct{ to bytes.Buffer }

func (c *canvas) text(class, anchor string, x, y float64, text string) {
	fmt.Fprintf(&c.to, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, anchor, x, y, escaped(text))
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&c.to, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2)
}

// draw draws a panel whose upper left corner is at x, y.
func (p *Panel) draw(to *canvas, x, y float64, axis string) {
	x0, x1, y0, y1 := x+left, x+panelWidth-right, y+panelHeight-bottom, y+top
	to.text("panel", "start", x+14, y+14, p.Title)
	step, most := p.scale()
	at := func(cost float64) float64 { return y0 - cost/most*(y0-y1) }
	for cost := 0.0; cost <= most*1.001; cost += step {
		class := "grid"
		if cost == 0 {
			class = "axis"
		}
		to.line(class, x0, at(cost), x1, at(cost))
		to.text("tick", "end", x0-6, at(cost)+4, fmt.Sprintf("%.4g", cost))
	}
	const inset = 16 // the first and last points stand clear of the edges
	var path bytes.Buffer
	places := p.places()
	for i := range p.Points {
		point, px := &p.Points[i], x0+inset+places[i]*(x1-x0-2*inset)
		fmt.Fprintf(&path, "%.1f,%.1f ", px, at(point.Median))
		to.text("tick", "middle", px, y0+16, point.Name)
		to.line("whisker", px, at(point.Least), px, at(point.Great))
		to.line("whisker", px-whisker, at(point.Least), px+whisker, at(point.Least))
		to.line("whisker", px-whisker, at(point.Great), px+whisker, at(point.Great))
		fmt.Fprintf(&to.to, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", px, at(point.Median), dot)
		to.text("value", "middle", px, at(point.Great)-labelDistance, point.Value)
	}
	fmt.Fprintf(&to.to, "<polyline class=\"line\" points=\"%s\"/>\n", bytes.TrimSpace(path.Bytes()))
	to.text("tick", "middle", (x0+x1)/2, y0+34, axis)
}

// scale returns the distance of the grid's lines and where the highest is. It
// begins at nothing: what is flat should look flat.
func (p *Panel) scale() (step, most float64) {
	for i := range p.Points {
		most = max(most, p.Points[i].Great)
	}
	if most <= 0 {
		return 1, 1
	}
	const room = 1.15 // for the label of the highest
	rough := most * room / 5
	step = math.Pow(10, math.Floor(math.Log10(rough)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if rough <= factor*step {
			step *= factor
			break
		}
	}
	return step, math.Ceil(most*room/step) * step
}

// places returns where the sizes stand, from 0 to 1: on a logarithmic axis
// where they grow tenfold, and nothing a power of ten before the first.
func (p *Panel) places() []float64 {
	sizes := make([]float64, len(p.Points))
	for i := range p.Points {
		sizes[i] = p.Points[i].Size
	}
	if last := len(sizes) - 1; last > 0 && sizes[last] >= 10*max(sizes[0], 1) {
		logarithmic(sizes)
	}
	least, span := sizes[0], sizes[len(sizes)-1]-sizes[0]
	for i := range sizes {
		if sizes[i] -= least; span > 0 {
			sizes[i] /= span
		}
	}
	return sizes
}

func logarithmic(sizes []float64) {
	nothing := sizes[0] <= 0
	for i := range sizes {
		sizes[i] = math.Log10(sizes[i])
	}
	if nothing {
		sizes[0] = sizes[1] - 1
	}
}

func escaped(text string) string {
	var to bytes.Buffer
	_ = xml.EscapeText(&to, []byte(text)) // a buffer takes all
	return to.String()
}
