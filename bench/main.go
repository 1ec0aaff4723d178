// Command bench measures Doorbuster against the limits of the machine that it
// runs on, and prints what it promised, what it found, and how to see it again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// settings say how much is measured.
type settings struct {
	row      string
	reps     int
	period   time.Duration // of one measurement
	seen     int64         // buyers and addresses that E6 and E8 show the node
	ledger   int           // orders in the ledger that E7 starts with
	pool     int           // requests written before a measurement of refusals
	many     int64         // how far sales and SKUs grow, for E8 and -scale
	books    int64         // how many orders the ledger holds at most, for -scale
	pages    int64         // how many pages are open at most, for -scale
	sellouts int           // how often D6 sells a last unit
	results  string        // file for the table; empty: none
	grows    string        // the dimensions to measure instead of rows; empty: none
	growth   string        // file that keeps what was measured of each dimension; empty: none
	plots    string        // folder for drawings of what that file keeps; empty: none
	profile  string        // folder for CPU profiles of the nodes of E3, E8, D3 and -scale; empty: none
	dir      string        // below it a run writes; on a disk, for a ledger in memory would prove nothing
	binary   string        // empty: built from the tree
}

// full is what make bench does; quick only shows that each row works.
func full() settings {
	return settings{
		reps: 3, period: 2 * time.Second, seen: 10_000_000, ledger: 1_000_000, pool: 100_000,
		many: 1000, books: 10_000_000, pages: 10_000, sellouts: 20,
		dir: filepath.Join("bench", "out"),
	}
}

func quick() settings {
	s := full()
	s.reps, s.period, s.seen, s.ledger, s.pool, s.sellouts = 1, 200*time.Millisecond, 20_000, 5_000, 5_000, 2
	s.many, s.books, s.pages = 20, 5_000, 50
	return s
}

// bench is one run.
type bench struct {
	settings
	crowd *crowd
	log   io.Writer

	pace    float64 // orders a second, as E3 found them; 0: not yet
	crowded *node   // has seen everybody; nil: not yet
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures the rows that args ask for. It fails where a row could not be
// measured; a row that falls short is a result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if s.grows == "" && s.plots != "" {
		return draw(s.growth, s.plots)
	}
	b := &bench{settings: s, log: stderr}
	wanted, err := choose(s.row)
	if err != nil {
		return err
	}
	growing, err := b.chooseDimensions(s.grows)
	if err != nil {
		return err
	}
	if b.crowd, err = newCrowd(); err != nil {
		return err
	}
	if b.dir, err = folder(s.dir); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.dir) }() // what is left is only in the way
	if b.binary == "" {
		b.binary = filepath.Join(b.dir, "doorbuster")
		if err := build(ctx, b.binary); err != nil {
			return err
		}
	}
	defer b.dismiss()
	if s.grows != "" {
		return b.growAll(ctx, growing, stdout)
	}
	return b.measure(ctx, wanted, stdout)
}

// folder makes a new one for a run.
func folder(below string) (string, error) {
	below, err := filepath.Abs(below)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(below, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(below, "run-")
}

func parse(args []string, stderr io.Writer) (settings, error) {
	s := full()
	for _, arg := range args {
		if strings.TrimLeft(arg, "-") == "quick" {
			s = quick()
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Bool("quick", false, "only show that each row works; the figures mean nothing")
	flags.StringVar(&s.row, "row", s.row, "measure only these rows, such as E3 or E1,E3")
	flags.IntVar(&s.reps, "reps", s.reps, "repetitions; the median counts")
	flags.DurationVar(&s.period, "period", s.period, "how long one measurement takes")
	flags.Int64Var(&s.seen, "seen", s.seen, "addresses and buyers seen, for E6, E8 and -scale")
	flags.IntVar(&s.ledger, "ledger", s.ledger, "orders in the ledger, for E7")
	flags.Int64Var(&s.books, "books", s.books, "orders in the ledger at most, for -scale")
	flags.IntVar(&s.pool, "pool", s.pool, "requests written before a measurement of refusals")
	flags.StringVar(&s.binary, "binary", s.binary, "measure this program instead of the tree's")
	flags.StringVar(&s.dir, "dir", s.dir, "where the run's files lie, on a disk")
	flags.StringVar(&s.profile, "profile", s.profile, "also write CPU profiles of the nodes of E3, E8, D3 and -scale to this folder")
	flags.StringVar(&s.grows, "scale", s.grows, "instead of rows, measure how cost grows: with sales, skus, stock, buyers, ledger, pages, nodes, or all")
	flags.StringVar(&s.growth, "growth", s.growth, "keep what -scale measures in this file, beside what it holds of other dimensions")
	flags.StringVar(&s.plots, "plots", s.plots, "draw what -growth keeps to this folder; without -scale only that")
	flags.StringVar(&s.results, "results", s.results, "also write the table to this file")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected %q; see -help", flags.Arg(0))
	}
	if s.reps < 1 || s.period <= 0 || s.pool < 1 || s.ledger < 1 || s.seen < 1 || s.books < 1 {
		return s, errors.New("-reps, -period, -seen, -ledger, -books and -pool are above 0")
	}
	if s.plots != "" && s.growth == "" {
		return s, errors.New("-plots wants -growth, the file to draw")
	}
	return s, nil
}

// measure runs the rows, and shows each as soon as it is known.
func (b *bench) measure(ctx context.Context, wanted []row, stdout io.Writer) error {
	begun := time.Now()
	table := &table{machine: machine(ctx), begun: begun, settings: b.settings}
	_, _ = fmt.Fprintf(stdout, "%s\n\n", table.machine)
	var faults []error
	for _, r := range wanted {
		lines, err := r.run(b, ctx)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", r.id, err))
			lines = append(lines, line{row: r.id, what: r.what, figure: "not measured: " + first(err.Error())})
		}
		for i := range lines {
			lines[i].row = r.id
			lines[i].command = "make bench ROW=" + r.id
			_, _ = fmt.Fprintln(stdout, lines[i].text())
		}
		table.lines = append(table.lines, lines...)
		if ctx.Err() != nil {
			return errors.Join(append(faults, ctx.Err())...)
		}
	}
	table.took = time.Since(begun)
	_, _ = fmt.Fprintf(stdout, "\n%s\n", table.summary())
	if b.results != "" {
		faults = append(faults, os.WriteFile(b.results, []byte(table.markdown()), 0o644))
	}
	return errors.Join(faults...)
}

// dismiss stops the node that several rows share.
func (b *bench) dismiss() {
	if b.crowded != nil {
		_ = b.crowded.end() // its figures are known
	}
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, "… "+format+"\n", args...)
}
