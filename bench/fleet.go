package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/bench/load"
	"github.com/doorbuster/doorbuster/internal/servers"
)

// rootKey hashes the claims of a fleet's nodes.
const rootKey = "a-root-key-for-benchmarks-0123456789"

// The kinds of processes that an order costs CPU in.
const (
	nodes    = "nodes"
	redis    = "Redis"
	postgres = "PostgreSQL"
	rabbit   = "RabbitMQ"
)

// fleet is nodes over shared stores, with nothing in between.
type fleet struct {
	*servers.Fleet
	*bench
}

// startFleet starts nodes that sell sales over PostgreSQL, one Redis and
// perhaps RabbitMQ, all on this machine.
func (b *bench) startFleet(ctx context.Context, number int, broker bool, sales ...sale) (*fleet, error) {
	dir, err := os.MkdirTemp(b.dir, "fleet-")
	if err != nil {
		return nil, err
	}
	for _, passed := range []string{b.dir, dir} { // PostgreSQL runs as somebody else
		if err := os.Chmod(passed, 0o711); err != nil {
			return nil, err
		}
	}
	options := servers.FleetOptions{
		Dir: dir, Binary: b.binary, Nodes: number, Broker: broker, Bare: true,
		Env: []string{"DOORBUSTER_BUYER_KEY=" + buyerKey, "DOORBUSTER_ADMIN_TOKEN=" + adminToken, "DOORBUSTER_ROOT_KEY=" + rootKey},
	}
	for i := range sales {
		file := filepath.Join(dir, fmt.Sprintf("sale-%d.json", i))
		text, err := json.Marshal(sales[i])
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
		options.Args = append(options.Args, "--sale", file)
	}
	started, err := servers.StartFleet(ctx, options)
	return &fleet{started, b}, err
}

// end stops everything, where it was started.
func (f *fleet) end() {
	if f.Fleet != nil {
		_ = f.Stop() // its figures are known
	}
}

// addresses are where buyers may come in: the nodes that run.
func (f *fleet) addresses() []string {
	var all []string
	for _, n := range f.Nodes {
		if n.Running() {
			all = append(all, n.Buyers)
		}
	}
	return all
}

// cpu is the processor time that each kind of process has used.
func (f *fleet) cpu() (map[string]time.Duration, error) {
	processes := map[string][]*servers.Process{redis: {f.Single.Process()}, postgres: {f.Postgres.Process}}
	if f.Rabbit != nil {
		processes[rabbit] = []*servers.Process{f.Rabbit.Process()}
	}
	for _, n := range f.Nodes {
		if n.Running() {
			processes[nodes] = append(processes[nodes], n.Process())
		}
	}
	used := map[string]time.Duration{}
	for kind, all := range processes {
		for _, p := range all {
			one, err := (&server{p}).cpu()
			if err != nil {
				return nil, err
			}
			used[kind] += one
		}
	}
	return used, nil
}

// order is what a second brings and what an order costs, in µs of CPU.
type order struct {
	perSecond float64
	cpu       map[string]float64
}

// sum is the CPU of all kinds.
func (o *order) sum() float64 {
	var sum float64
	for _, cpu := range o.cpu {
		sum += cpu
	}
	return sum
}

// rush is how buyers come: over so many connections, at most so many a second.
type rush struct {
	period time.Duration
	pace   float64
	conns  int // of all nodes together
}

// sell lets new buyers order at every node that runs, as fast as they are
// answered.
func (f *fleet) sell(ctx context.Context, r rush) (order, error) {
	doors := f.addresses()
	each := int(r.pace*r.period.Seconds())/len(doors) + r.conns
	crowds := make([]*requests, len(doors))
	for i := range doors {
		var err error
		if crowds[i], err = f.crowd.orders(each, of("drop", "sku-0")); err != nil {
			return order{}, err
		}
	}
	before, err := f.cpu()
	if err != nil {
		return order{}, err
	}
	profiled := f.profiles(ctx, r.period)
	result, err := floodAll(doors, r, crowds)
	if err := errors.Join(err, profiled()); err != nil {
		return order{}, err
	}
	after, err := f.cpu()
	if err != nil {
		return order{}, err
	}
	if err := check(result, http.StatusCreated); err != nil {
		return order{}, err
	}
	orders := float64(result.Requests())
	cost := order{perSecond: orders / result.Elapsed.Seconds(), cpu: map[string]float64{}}
	for kind := range after {
		cost.cpu[kind] = float64((after[kind] - before[kind]).Microseconds()) / orders
	}
	return cost, nil
}

// floodAll drives every door with its share of the connections.
func floodAll(doors []string, r rush, crowds []*requests) (load.Result, error) {
	all := load.Result{Status: map[int]int64{}}
	var mu sync.Mutex
	var faults []error
	var wait sync.WaitGroup
	for i, door := range doors {
		wait.Go(func() {
			one, err := load.Closed(door, r.conns/len(doors), r.period, crowds[i].once())
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, err)
			all.Elapsed, all.Errors = max(all.Elapsed, one.Elapsed), all.Errors+one.Errors
			for status, count := range one.Status {
				all.Status[status] += count
			}
		})
	}
	wait.Wait()
	return all, errors.Join(faults...)
}

// shares writes what an order costs in each kind of process.
func shares(orders []order) string {
	kinds := map[string]spread{}
	for i := range orders {
		for kind, cpu := range orders[i].cpu {
			kinds[kind] = append(kinds[kind], cpu)
		}
	}
	var words []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		words = append(words, fmt.Sprintf("%s %s", kind, kinds[kind]))
	}
	return strings.Join(words, ", ") + " µs CPU an order"
}

// profiles takes a CPU profile of every node that runs, for as long as a
// measurement, where that is asked for. The function that it returns waits for
// them.
func (f *fleet) profiles(ctx context.Context, period time.Duration) func() error {
	var waits []func() error
	for i, n := range f.Nodes {
		if n.Running() {
			waits = append(waits, f.profiled(ctx, n.Operators, fmt.Sprintf("node-%d-of-%d", i+1, len(f.addresses())), period))
		}
	}
	return func() error {
		var faults []error
		for _, wait := range waits {
			faults = append(faults, wait())
		}
		return errors.Join(faults...)
	}
}
