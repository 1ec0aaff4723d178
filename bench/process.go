package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// ticksPerSecond is the unit of /proc/PID/stat: USER_HZ, 100 on every Linux
// that Go runs on.
const ticksPerSecond = 100

// server is a process under measurement, and its children.
type server struct{ *servers.Process }

// startServer starts a program that dies together with the benchmark.
func startServer(log string, env []string, name string, args ...string) (*server, error) {
	process, err := servers.Start(servers.Command{Name: name, Args: args, Env: env, Log: log})
	if err != nil {
		return nil, err
	}
	return &server{process}, nil
}

// cpu is the processor time that the process and its children have used, those
// among them that have ended, too.
func (s *server) cpu() (time.Duration, error) {
	pid := s.PID()
	pids := []string{strconv.Itoa(pid)}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range append(pids, strings.Fields(string(children))...) {
		used, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// cpuOf reads utime, stime, cutime and cstime, the 14th field and on.
func cpuOf(pid string) (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(stat, []byte(") ")) // the name may hold blanks
	fields := strings.Fields(string(rest))
	const utime, cstime = 14 - 3, 17 - 3
	if len(fields) <= cstime {
		return 0, fmt.Errorf("/proc/%s/stat: %q", pid, stat)
	}
	var ticks int64
	for _, field := range fields[utime : cstime+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// resident is the memory that the process holds, in bytes.
func (s *server) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// profiled takes a CPU profile of a node while a measurement runs, where that
// is asked for. The function that it returns waits for it.
func (b *bench) profiled(ctx context.Context, operators, name string, period time.Duration) func() error {
	if b.profile == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- b.profileOf(ctx, operators, name, period) }()
	return func() error { return <-done }
}

// profileOf takes a CPU profile of a node, for as long as a measurement.
func (b *bench) profileOf(ctx context.Context, operators, name string, period time.Duration) error {
	path := fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(period/time.Second)))
	text, err := fetchAs(ctx, operators, path, "*/*")
	if err != nil {
		return err
	}
	name += time.Now().Format("-150405.000") + ".pb.gz"
	return os.WriteFile(filepath.Join(b.profile, name), text, 0o600)
}
