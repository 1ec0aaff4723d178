package page

import (
	"crypto/sha256"
	"fmt"
	"html/template"
	"strings"
)

// Art is a grid of square tiles, each a quarter or half disk, a disk or a
// leaf: a poster that is a sale's own, for the sale that brings no picture.
const (
	artColumns = 4
	artRows    = 4
	artTile    = 100 // units of the drawing
)

// palette is a ground and four colours that stand on it.
type palette [5]string

func palettes() []palette {
	return []palette{
		{"#efe6d5", "#e8452c", "#1d1b17", "#f2b134", "#2f6f73"},
		{"#1f2a44", "#f25f3a", "#f4e9d8", "#f6c445", "#5aa9a3"},
		{"#f4d9c6", "#c8341b", "#22313f", "#f7f3ea", "#e79a3c"},
		{"#22332c", "#f0c75e", "#ef6f4d", "#f3ecdc", "#7fb59a"},
		{"#e4e1f0", "#4b3f9e", "#ff6b4a", "#16140f", "#f6c445"},
		{"#16140f", "#ff7a5c", "#f6f2e8", "#3f7cff", "#f2c14e"},
	}
}

// art draws the poster that belongs to an id: always the same one.
func art(id string) template.HTML {
	seed := sha256.Sum256([]byte(id))
	all := palettes()
	colours := all[int(seed[0])%len(all)]
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg viewBox="0 0 %d %d" preserveAspectRatio="xMinYMin slice" aria-hidden="true">`, artColumns*artTile, artRows*artTile)
	fmt.Fprintf(&svg, `<path fill="%s" d="M0 0h%dv%dH0z"/>`, colours[0], artColumns*artTile, artRows*artTile)
	for i := range artColumns * artRows {
		tile(&svg, i, seed[1+i], colours)
	}
	svg.WriteString(`</svg>`)
	return template.HTML(svg.String()) //nolint:gosec // numbers and colours of ours alone
}

// tile draws one square: four bits say which figure, two how it is turned, two
// its colour.
func tile(svg *strings.Builder, i int, bits byte, colours palette) {
	x, y := i%artColumns*artTile, i/artColumns*artTile
	front := 1 + int(bits>>6)
	back := (front + 1 + i%3) % len(colours)
	fmt.Fprintf(svg, `<g transform="translate(%d %d)rotate(%d 50 50)">`, x, y, 90*int(bits>>4&3))
	if bits&1 == 1 {
		fmt.Fprintf(svg, `<path fill="%s" shape-rendering="crispEdges" d="M0 0h100v100H0z"/>`, colours[back])
	}
	if back == front {
		front = 0
	}
	fmt.Fprintf(svg, `<path fill="%s" d="%s"/></g>`, colours[front], figure(bits>>1&7))
}

func figure(kind byte) string {
	switch kind {
	case 0, 1, 6:
		return "M0 0h100A100 100 0 0 1 0 100z" // quarter disk
	case 2:
		return "M0 0A50 50 0 0 0 100 0z" // half disk
	case 3:
		return "M0 0A100 100 0 0 1 100 100A100 100 0 0 1 0 0z" // leaf
	case 4:
		return "M50 0a50 50 0 0 1 0 100a50 50 0 0 1 0-100z" // disk
	case 5:
		return "M0 0h100L0 100z" // triangle
	}
	return "M0 0h20v100H0zM40 0h20v100H40zM80 0h20v100H80z" // stripes
}
