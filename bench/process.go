package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// ticksPerSecond is the unit of /proc/PID/stat: USER_HZ, 100 on every
	// Linux that Go runs on.
	ticksPerSecond = 100
	startMax       = 60 * time.Second // from exec to ready
	stopMax        = 30 * time.Second
)

// server is a process under measurement, and its children.
type server struct {
	command *exec.Cmd
	log     string // file of what it printed
	exited  chan struct{}
}

// startServer starts a program that dies together with the benchmark.
func startServer(log string, env []string, name string, args ...string) (*server, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the process has its own
	s := &server{command: exec.Command(name, args...), log: log, exited: make(chan struct{})}
	s.command.Env = env
	s.command.Stdout, s.command.Stderr = out, out
	// Not SIGKILL, which would leave nginx's workers behind.
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.command.Wait() // whoever waits reads the state
		close(s.exited)
	}()
	return s, nil
}

// until polls done until it returns nil, or the process has ended.
func (s *server) until(done func() error) error {
	deadline := time.Now().Add(startMax)
	for {
		err := done()
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended with %s: %s", s.command.Path, s.command.ProcessState, s.said())
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: still after %s: %w: %s", s.command.Path, startMax, err, s.said())
		}
	}
}

// said returns the end of what the process printed.
func (s *server) said() string {
	const most = 2000
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// stop ends the process with a signal, and waits for it.
func (s *server) stop(signal syscall.Signal) error {
	if err := s.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(stopMax):
		return errors.Join(fmt.Errorf("%s still runs %s after %s", s.command.Path, stopMax, signal), s.command.Process.Kill())
	}
}

// cpu is the processor time that the process and its children have used.
func (s *server) cpu() (time.Duration, error) {
	pid := s.command.Process.Pid
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

// cpuOf reads utime and stime, the 14th and 15th field.
func cpuOf(pid string) (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(stat, []byte(") ")) // the name may hold blanks
	fields := strings.Fields(string(rest))
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, fmt.Errorf("/proc/%s/stat: %q", pid, stat)
	}
	user, err := strconv.ParseInt(fields[utime], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[stime], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond, err
}

// resident is the memory that the process holds, in bytes.
func (s *server) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
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

// freeAddress returns one below the ports that the kernel gives to clients.
func freeAddress() (string, error) {
	for range 100 {
		candidate := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000))
		listener, err := net.Listen("tcp", candidate)
		if err != nil {
			continue
		}
		return candidate, listener.Close()
	}
	return "", errors.New("no free port between 12000 and 32000")
}

// output runs a program to its end and returns what it printed.
func output(ctx context.Context, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return string(out), nil
}
