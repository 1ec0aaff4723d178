package main

import (
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/bench/load"
)

// target is a server that is asked by so many connections at once.
type target struct {
	server  *server
	address string
	conns   int
	want    int // the status that nearly every answer bears
}

// sample is one measurement.
type sample struct {
	perSecond float64 // answers
	cpu       float64 // of the server, µs per answer
	wanted    int64   // answers of the wanted status
}

// strayMax is the share of answers that may be of another status: the first
// requests of an address pass its limit, the last buyers find nothing.
const strayMax = 0.02

// ask sends requests for at most a period, and takes the server's time.
func ask(t target, most time.Duration, next load.Source) (sample, error) {
	before, err := t.server.cpu()
	if err != nil {
		return sample{}, err
	}
	result, err := load.Closed(t.address, t.conns, most, next)
	if err != nil {
		return sample{}, err
	}
	after, err := t.server.cpu()
	if err != nil {
		return sample{}, err
	}
	if err := check(result, t.want); err != nil {
		return sample{}, err
	}
	answers := float64(result.Requests())
	return sample{
		perSecond: answers / result.Elapsed.Seconds(),
		cpu:       float64((after - before).Microseconds()) / answers,
		wanted:    result.Status[t.want],
	}, nil
}

// check wants that nearly every answer bears the status: whoever measures
// something else should hear so.
func check(result load.Result, want int) error {
	all := result.Requests()
	if result.Errors > 0 || all == 0 || float64(all-result.Status[want]) > strayMax*float64(all) {
		return fmt.Errorf("answers by status %v and %d broken connections; want %d", result.Status, result.Errors, want)
	}
	return nil
}

// pair are the repetitions of product and limit, one after the other.
type pair struct{ product, limit []sample }

// compare measures both in turn, after a warm-up of each.
func (b *bench) compare(product, limit target, next func() (load.Source, error)) (pair, error) {
	var p pair
	for rep := range b.reps + 1 {
		for _, side := range []struct {
			target target
			into   *[]sample
		}{{limit, &p.limit}, {product, &p.product}} {
			source, err := next()
			if err != nil {
				return p, err
			}
			period := b.period
			if rep == 0 {
				period /= 4
			}
			s, err := ask(side.target, period, source)
			if err != nil {
				return p, fmt.Errorf("%s: %w", side.target.server.Name(), err)
			}
			if rep > 0 {
				*side.into = append(*side.into, s)
			}
		}
	}
	return p, nil
}

func cpus(samples []sample) spread {
	var s spread
	for i := range samples {
		s = append(s, samples[i].cpu)
	}
	return s
}

func rates(samples []sample) spread {
	var s spread
	for i := range samples {
		s = append(s, samples[i].perSecond)
	}
	return s
}

// cpuLine compares the CPU of one answer, and rateLine the answers a second.
func (p pair) cpuLine(what string, bound float64) line {
	product, limit := cpus(p.product), cpus(p.limit)
	return line{
		what: what + ": CPU ÷ nginx 429", goal: atMost(bound, "×"), value: ratio(product, limit),
		figure: fmt.Sprintf("%s µs; nginx %s µs", product, limit),
	}
}

func (p pair) rateLine(what string, bound float64) line {
	product, limit := rates(p.product), rates(p.limit)
	return line{
		what: what + ": answers/s ÷ nginx", goal: atLeast(bound), value: ratio(product, limit),
		figure: fmt.Sprintf("%s/s; nginx %s/s", product, limit),
	}
}
