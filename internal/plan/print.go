package plan

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Print writes a plan for people.
func Print(to io.Writer, sections []Section) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for i, section := range sections {
		if i > 0 {
			_, _ = fmt.Fprintln(table) // Flush tells
		}
		_, _ = fmt.Fprintln(table, section.Title)
		for _, part := range section.Parts {
			_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\n", part.What, part.Figure, part.How)
		}
	}
	return table.Flush()
}

// ParseCount reads a number, with k, M or G behind it.
func ParseCount(text string) (int64, error) {
	number, unit := text, 1.0
	for suffix, factor := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = rest, factor
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	whole := math.Round(n * unit)
	if err != nil || strings.Trim(number, "0123456789.") != "" || whole > 1e15 {
		return 0, fmt.Errorf("%q is not a number; write such as 500, 10k or 1.5M", text)
	}
	return int64(whole), nil
}

// count writes three digits of a large number, and all of a small one.
func count(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, " billion"}, {1e6, " million"}} {
		if n >= unit.size {
			return strconv.FormatFloat(n/unit.size, 'g', 3, 64) + unit.name
		}
	}
	text := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	if len(text) > 4 {
		text = text[:len(text)-3] + "," + text[len(text)-3:]
	}
	return text
}

func perSecond(n float64) string { return count(n) + "/s" }

func micros(n float64) string { return decimal(n) + " µs" }

// decimal has one digit behind the point where that says something.
func decimal(n float64) string {
	if n >= 100 || n == math.Trunc(n) {
		return strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

func by(perSecond, micros float64) string {
	return fmt.Sprintf("%s/s × %g µs ÷ %g", count(perSecond), micros, used)
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}

func bits(bytesPerSecond float64) string {
	n := bytesPerSecond * 8
	switch {
	case n >= 1e9:
		return decimal(n/1e9) + " Gbit/s"
	case n >= 1e6:
		return decimal(n/1e6) + " Mbit/s"
	}
	return decimal(n/1e3) + " kbit/s"
}

func bytesOf(n float64) string {
	switch {
	case n >= 1e12:
		return decimal(n/1e12) + " TB"
	case n >= 1e9:
		return decimal(n/1e9) + " GB"
	}
	return decimal(n/1e6) + " MB"
}

func price(n float64) string { return strconv.FormatFloat(n, 'f', 2, 64) }
