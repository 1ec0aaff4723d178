package main

import (
	"context"
	"fmt"
)

// turns of a store's own benchmark: within each of them yardstick and product
// take turns, too.
func (b *bench) turns(ctx context.Context, folder, names, most string) (found, error) {
	all := found{}
	for range b.reps {
		one, err := goBenchmarks(ctx, folder, names, most, 1)
		if err != nil {
			return nil, err
		}
		all.add(one)
	}
	return all, nil
}

// reservations is D1: the Redis stock in calls of 256 buyers against
// redis-benchmark with a script that reserves for one. Where Redis writes
// through at each call, the yardstick is still the one that does so every
// second, which is faster.
func (b *bench) reservations(ctx context.Context) ([]line, error) {
	found, err := b.turns(ctx, "redis", "BenchmarkReserve", "3x")
	if err != nil {
		return nil, err
	}
	var lines []line
	for _, kind := range []struct {
		fsync, ratio string
		bound        float64
	}{{"everysec", "ratio", 4}, {"always", "ratio-to-everysec", 2.5}} {
		f := found["Reserve/"+kind.fsync]
		lines = append(lines, line{
			what: "Redis reservations in calls of 256, AOF " + kind.fsync + " ÷ one-buyer script", goal: atLeast(kind.bound), value: f[kind.ratio],
			figure: fmt.Sprintf("%s/s at %s µs of Redis's CPU; one buyer with AOF %s %s/s at %s µs",
				f["reservations/s"], f["cpu-us"], kind.fsync, f["one-buyer/s"], f["one-buyer-cpu-us"]),
		})
	}
	return lines, nil
}

// decisions is D2: tickets that PostgreSQL decides, each batch of 512 one
// transaction, by the two workers of a node, against COPY of a row for each.
func (b *bench) decisions(ctx context.Context) ([]line, error) {
	found, err := b.turns(ctx, "postgres", "BenchmarkDecide/batch=512/workers=2$|BenchmarkCopy", b.period.String())
	if err != nil {
		return nil, err
	}
	decided := found["Decide/batch=512/workers=2"]["tickets/s"]
	large, small := found["Copy/batch=4096"]["rows/s"], found["Copy/batch=512"]["rows/s"]
	return []line{{
		what: "PostgreSQL decides tickets in batches of 512 ÷ COPY of 4,096 rows", goal: atLeast(0.18), value: ratio(decided, large),
		figure: fmt.Sprintf("%s/s; COPY %s/s, of 512 rows %s/s", decided, large, small),
	}}, nil
}

// relayed is D4: tickets into RabbitMQ's quorum queue against confirmed
// publishes into a bare one.
func (b *bench) relayed(ctx context.Context) ([]line, error) {
	found, err := b.turns(ctx, "rabbitmq", "BenchmarkD4", "1x")
	if err != nil {
		return nil, err
	}
	f := found["D4"]
	bare := f["bare/s"]
	return []line{
		{
			what: "RabbitMQ, a ticket in each message ÷ bare quorum queue", goal: atLeast(0.8), value: f["single/bare"],
			figure: fmt.Sprintf("bare %s confirmed/s; until acknowledged %s ×", bare, f["single-through/bare"]),
		},
		{
			what: "RabbitMQ, packed tickets ÷ bare quorum queue", goal: atLeast(3), value: f["packed/bare"],
			figure: fmt.Sprintf("until acknowledged %s ×", f["packed-through/bare"]),
		},
	}, nil
}
