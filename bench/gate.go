package main

import "context"

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

// gateBenchmarks runs benchmarks of the gate.
func (b *bench) gateBenchmarks(ctx context.Context, names string) (found, error) {
	return goBenchmarks(ctx, "gate", names, (b.period / 2).String(), b.reps)
}
