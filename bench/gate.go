package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// limiter is G1, and token G2: figures of the package's own benchmarks.
func (b *bench) limiter(ctx context.Context) ([]line, error) {
	found, err := b.gateBenchmarks(ctx, "BenchmarkLimiter|BenchmarkGateRefuses")
	if err != nil {
		return nil, err
	}
	refuses, limited := found["GateRefuses"], found["Limiter/refused"]
	allocations := append(append(spread{}, refuses["allocs/op"]...), limited["allocs/op"]...)
	return []line{
		{what: "the gate refuses an address", goal: atMost(250, "ns"), value: refuses["ns/op"], figure: "one address, in the caches"},
		{what: "a limit decides, a million keys in turn", goal: atMost(250, "ns"), value: limited["ns/op"], figure: "far from the caches"},
		{what: "both: allocations", goal: atMost(0, "allocs"), value: allocations},
		{what: "memory per key", goal: atMost(16, "B"), value: limited["B/key"]},
	}, nil
}

func (b *bench) token(ctx context.Context) ([]line, error) {
	found, err := b.gateBenchmarks(ctx, "BenchmarkTokenFirst|BenchmarkTokenSeen")
	if err != nil {
		return nil, err
	}
	thousand := spread{}
	for _, ns := range found["TokenFirst/own"]["ns/op"] {
		thousand = append(thousand, ns/1000)
	}
	return []line{
		{what: "a token seen for the first time", goal: atMost(6, "µs"), value: thousand},
		{what: "a token seen before", goal: atMost(400, "ns"), value: found["TokenSeen"]["ns/op"]},
	}, nil
}

// gateBenchmarks runs benchmarks and returns every figure by name and unit.
// Their names may go on behind a slash; one figure is enough of those.
func (b *bench) gateBenchmarks(ctx context.Context, names string) (map[string]map[string]spread, error) {
	text, err := servers.Output(ctx, "go", "test", "-run", "^$", "-bench", names, "-benchmem", "-count", strconv.Itoa(b.reps),
		"-benchtime", (b.period / 2).String(), "github.com/doorbuster/doorbuster/internal/gate")
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]spread{}
	for l := range strings.Lines(text) {
		fields := strings.Fields(l)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := regexp.MustCompile(`-\d+$`).ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
		if found[name] == nil {
			found[name] = map[string]spread{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("read %q: %w", l, err)
			}
			found[name][fields[i+1]] = append(found[name][fields[i+1]], value)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no figures of %s in %s; found %v", names, text, maps.Keys(found))
	}
	return found, nil
}
