package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// found are figures of Go benchmarks, by name and unit.
type found map[string]map[string]spread

// goBenchmarks runs benchmarks of a package so many times and returns every
// figure. most is how long each runs, or how often (5x).
func goBenchmarks(ctx context.Context, folder, names, most string, count int) (found, error) {
	text, err := servers.Output(ctx, "go", "test", "-run", "^$", "-bench", names, "-benchmem", "-count", strconv.Itoa(count),
		"-benchtime", most, "-timeout", "30m", "github.com/doorbuster/doorbuster/internal/"+folder)
	if err != nil {
		return nil, err
	}
	all := found{}
	if err := all.read(text); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no figures of %s in %s", names, text)
	}
	return all, nil
}

// read adds the figures that go test printed.
func (f found) read(text string) error {
	for l := range strings.Lines(text) {
		fields := strings.Fields(l)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := regexp.MustCompile(`-\d+$`).ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
		if f[name] == nil {
			f[name] = map[string]spread{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("read %q: %w", l, err)
			}
			f[name][fields[i+1]] = append(f[name][fields[i+1]], value)
		}
	}
	return nil
}

// add appends another run's figures.
func (f found) add(more found) {
	for name, units := range more {
		if f[name] == nil {
			f[name] = map[string]spread{}
		}
		for unit, values := range units {
			f[name][unit] = append(f[name][unit], values...)
		}
	}
}
