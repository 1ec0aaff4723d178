package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// line is one promise and what became of it.
type line struct {
	row, what string
	goal      goal
	figure    string // what was measured, in units
	value     spread // what the goal judges
	command   string
}

// goal is a bound of a value.
type goal struct {
	bound   float64
	atLeast bool   // else at most
	unit    string // behind the bound and the value: ×, ms, MB
	none    bool   // the value is worth knowing, and nobody promised it
}

func atMost(bound float64, unit string) goal { return goal{bound: bound, unit: unit} }
func atLeast(bound float64) goal             { return goal{bound: bound, unit: "×", atLeast: true} }

func noGoal(unit string) goal { return goal{unit: unit, none: true} }

func (g goal) String() string {
	if g.unit == "" || g.none {
		return "—"
	}
	sign := "≤"
	if g.atLeast {
		sign = "≥"
	}
	return fmt.Sprintf("%s %s %s", sign, short(g.bound), g.unit)
}

// verdict is pass or short; info where nothing was promised, and nothing where
// nothing was measured.
func (l *line) verdict() string {
	switch {
	case len(l.value) == 0:
		return "—"
	case l.goal.none:
		return "info"
	case l.goal.atLeast && l.value.median() >= l.goal.bound, !l.goal.atLeast && l.value.median() <= l.goal.bound:
		return "pass"
	}
	return "short"
}

// result is the judged value, as the table shows it.
func (l *line) result() string {
	if len(l.value) == 0 {
		return "—"
	}
	return l.value.String() + " " + l.goal.unit
}

// text is the line for a terminal.
func (l *line) text() string {
	return fmt.Sprintf("%-3s %-5s %-52s goal %-10s got %-22s %s", l.row, l.verdict(), l.what, l.goal, l.result(), l.figure)
}

// spread are the repetitions of one figure.
type spread []float64

func (s spread) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// String is the median, with the least and the greatest.
func (s spread) String() string {
	if len(s) < 2 {
		return short(s.median())
	}
	return fmt.Sprintf("%s (%s–%s)", short(s.median()), short(slices.Min(s)), short(slices.Max(s)))
}

// short writes three digits or all that stand before the point.
func short(v float64) string {
	switch {
	case v >= 100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// ratio divides repetition by repetition: both were measured side by side.
func ratio(product, limit spread) spread {
	quotients := make(spread, len(product))
	for i := range product {
		quotients[i] = product[i] / limit[i]
	}
	return quotients
}

// table is a whole run.
type table struct {
	machine  string
	begun    time.Time
	took     time.Duration
	settings settings
	lines    []line
}

// summary counts the verdicts.
func (t *table) summary() string {
	count := map[string]int{}
	for i := range t.lines {
		count[t.lines[i].verdict()]++
	}
	text := fmt.Sprintf("%d pass, %d short", count["pass"], count["short"])
	if missing := count["—"]; missing > 0 {
		text += fmt.Sprintf(", %d not measured", missing)
	}
	return fmt.Sprintf("%s; %s", text, t.took.Round(time.Second))
}

// markdown is the table as a file for people.
func (t *table) markdown() string {
	var to strings.Builder
	to.WriteString("# Today's figures\n\nWritten by `make bench`. E: one node alone; D: nodes over PostgreSQL, Redis and RabbitMQ; G: the gate. Ratios\n" +
		"compare with nginx, or the store itself, in the same run, side by side; each is a median, with minimum and\n" +
		"maximum. CPU is that of the servers' processes alone. Generator, nodes and stores share the machine's cores.\n\n")
	fmt.Fprintf(&to, "%s\n\n", strings.ReplaceAll("- "+t.machine, "\n", "\n- "))
	fmt.Fprintf(&to, "Begun %s, took %s; %d repetitions of %s. %s.\n\n", t.begun.UTC().Format("2006-01-02 15:04 MST"),
		t.took.Round(time.Second), t.settings.reps, t.settings.period, t.summary())
	to.WriteString("| # | what | goal | figure | result | | command |\n|---|---|---|---|---|---|---|\n")
	for i := range t.lines {
		l := &t.lines[i]
		verdict := l.verdict()
		if verdict == "short" {
			verdict = "**short**"
		}
		fmt.Fprintf(&to, "| %s | %s | %s | %s | %s | %s | `%s` |\n", l.row, l.what, l.goal, l.figure, l.result(), verdict, l.command)
	}
	return to.String()
}

// machine describes what the figures were measured on.
func machine(ctx context.Context) string {
	said := func(name string, args ...string) string {
		text, err := servers.Output(ctx, name, args...)
		if err != nil {
			return "unknown"
		}
		return first(text)
	}
	processor := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
				processor = strings.TrimSpace(value)
				break
			}
		}
	}
	server := "no nginx"
	if path, err := findNginx(); err == nil {
		server = said(path, "-v")
	}
	commit := said("git", "describe", "--always", "--dirty")
	return fmt.Sprintf("%s, %d cores; Linux %s\n%s; %s; load before: %s\ncommit %s",
		processor, runtime.NumCPU(), said("uname", "-r"), runtime.Version(), server, loadAverage(), commit)
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:1], " ")
}
