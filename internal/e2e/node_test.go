package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Secrets that the tests give to nodes; none of them may ever be printed.
const (
	buyerKey   = "canary-buyer-key-0123456789-0123456789"
	adminToken = "canary-admin-token-0123456789"
)

// How long things may take that take a fraction of it.
const (
	readyMax = 20 * time.Second
	drainMax = 30 * time.Second // the contract's
)

// setup says how a node is started. The zero setup is a plain node in a new
// folder.
type setup struct {
	dir     string   // the data folder
	binary  string   // plain or crashing
	args    []string // further flags of serve
	env     []string
	wrapper []string // a program that starts the node, such as strace
}

// node is a running doorbuster, or one that has ended.
type node struct {
	setup
	buyers, operators string // base URLs
	log               string // file of its stderr
	command           *exec.Cmd
	exited            chan struct{} // closed when it has ended and was waited for
}

// prepare chooses folder and addresses; start may then be called again and
// again.
func prepare(t *testing.T, s setup) *node {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; left to make e2e")
	}
	if s.dir == "" {
		s.dir = filepath.Join(t.TempDir(), "data")
	}
	if s.binary == "" {
		s.binary = plain
	}
	n := &node{
		setup: s, buyers: "http://" + address(t), operators: "http://" + address(t),
		log: filepath.Join(t.TempDir(), "log"),
	}
	t.Cleanup(func() {
		n.kill()
		n.discreet(t)
		if t.Failed() {
			t.Logf("end of the log:\n%s", tail(n.read(), 6000))
		}
	})
	return n
}

// serve prepares a node, starts it and waits until it is ready.
func serve(t *testing.T, s setup) *node {
	t.Helper()
	n := prepare(t, s)
	n.start(t)
	n.ready(t)
	return n
}

// start begins a process over the node's folder.
func (n *node) start(t *testing.T) {
	t.Helper()
	args := append([]string{
		"serve", "--data", n.dir,
		"--listen", strings.TrimPrefix(n.buyers, "http://"),
		"--admin-listen", strings.TrimPrefix(n.operators, "http://"),
		"--trusted-proxies", "127.0.0.1/32",
	}, n.args...)
	line := append(append([]string{}, n.wrapper...), append([]string{binary(t, n.binary)}, args...)...)
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	command := exec.Command(line[0], line[1:]...)
	command.Env = append(environment(), n.env...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // no orphan of a killed test
		Setpgid:   true,            // a wrapper dies together with its node
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	n.command, n.exited = command, make(chan struct{})
	go func(done chan struct{}) {
		_ = command.Wait() // the state says how it ended
		close(done)
	}(n.exited)
}

// environment is what every process of the tests gets.
func environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(),
		"DOORBUSTER_BUYER_KEY=" + buyerKey, "DOORBUSTER_ADMIN_TOKEN=" + adminToken,
	}
}

// ready waits until the node says that it is.
func (n *node) ready(t *testing.T) {
	t.Helper()
	within(t, readyMax, func() error {
		if n.ended() {
			t.Fatalf("the node ended with %s", n.command.ProcessState)
		}
		status, body := n.health("/readyz")
		if status != http.StatusOK {
			return fmt.Errorf("readyz: %d %s", status, body)
		}
		return nil
	})
}

// health asks the operators' listener; status 0: no answer.
func (n *node) health(path string) (status int, body string) {
	return fetch(context.Background(), n.operators+path)
}

// fetch gets an address once; status 0: no answer.
func fetch(ctx context.Context, address string) (status int, body string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err.Error()
	}
	request.Close = true // what is asked this way is asked across restarts
	got, err := do(http.DefaultClient, request)
	if err != nil {
		return 0, err.Error()
	}
	return got.status, string(got.body)
}

// ended reports whether the process is gone.
func (n *node) ended() bool {
	select {
	case <-n.exited:
		return true
	default:
		return false
	}
}

// terminate asks the process to end, as a supervisor does.
func (n *node) terminate(t *testing.T) {
	t.Helper()
	if err := n.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// kill ends the process as kill -9 does, and waits for it.
func (n *node) kill() {
	if n.command == nil {
		return
	}
	if !n.ended() {
		_ = syscall.Kill(-n.command.Process.Pid, syscall.SIGKILL) // it may end by itself in this moment
	}
	<-n.exited
}

// wait returns the exit code of a process that ends by itself; −1: a signal.
func (n *node) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-n.exited:
	case <-time.After(limit):
		t.Fatalf("the node still runs after %s", limit)
	}
	return n.command.ProcessState.ExitCode()
}

// stop drains the node and wants exit code 0.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.terminate(t)
	if code := n.wait(t, drainMax); code != 0 {
		t.Fatalf("after SIGTERM the node ended with %d, want 0", code)
	}
}

// killed reports whether the process ended by SIGKILL.
func (n *node) killed() bool {
	status, ok := n.command.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// read returns all that the node has logged.
func (n *node) read() string {
	data, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// discreet wants a log without panics, secrets and whole addresses: neither
// the keys, nor anybody's token, nor where a buyer came from.
func (n *node) discreet(t *testing.T) {
	t.Helper()
	words := []string{buyerKey, adminToken, "eyJ", "2001:db8:", canary, "panic", "goroutine "}
	if root, err := os.ReadFile(filepath.Join(n.dir, "root-key")); err == nil {
		words = append(words, strings.TrimSpace(string(root)))
	}
	log := n.read()
	for i, word := range words {
		if strings.Contains(log, word) {
			t.Errorf("the log has what it must not have: number %d of the secrets", i)
		}
	}
}

// says waits until the log has the words.
func (n *node) says(t *testing.T, words string) {
	t.Helper()
	within(t, readyMax, func() error {
		if !strings.Contains(n.read(), words) {
			return fmt.Errorf("the log does not say %q", words)
		}
		return nil
	})
}

// doorbuster runs a command to its end, and returns its exit code and all
// that it printed.
func doorbuster(t *testing.T, args ...string) (int, string) {
	t.Helper()
	return command(t, environment(), args...)
}

func command(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; left to make e2e")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, binary(t, plain), args...)
	run.Env = env
	run.Dir = t.TempDir()
	out, err := run.CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return run.ProcessState.ExitCode(), string(out)
}

// audited wants every invariant that the ledger alone can decide to hold.
func (n *node) audited(t *testing.T) {
	t.Helper()
	if code, out := doorbuster(t, "audit", "--data", n.dir); code != 0 {
		t.Fatalf("audit: exit %d, want 0\n%s", code, out)
	}
}

// address returns a free one, below the ports that the kernel gives to
// clients: a restarted node finds it free again.
func address(t *testing.T) string {
	t.Helper()
	for range 100 {
		candidate := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000))
		listener, err := net.Listen("tcp", candidate)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return candidate
	}
	t.Fatal("no free port")
	return ""
}

func tail(text string, size int) string { return text[max(0, len(text)-size):] }
