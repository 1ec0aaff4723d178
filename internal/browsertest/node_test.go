package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// Secrets that the tests give to nodes.
const (
	buyerKey   = "a-buyer-key-for-tests-0123456789-0123456789"
	adminToken = "an-admin-token-for-tests"
)

// build makes the finished program once, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "doorbuster")
	command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", to, "./cmd/doorbuster")
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return to
}

// node is the program, running over a folder of its own.
type node struct {
	program, dir      string
	buyers, operators string   // base URLs
	args              []string // further flags of serve
	log               string   // file of its stderr
	command           *exec.Cmd
	exited            chan struct{} // closed when it has ended and was waited for
}

// serve starts a node and waits until it is ready.
func serve(t *testing.T, program string, args ...string) *node {
	t.Helper()
	n := &node{
		program: program, dir: filepath.Join(t.TempDir(), "data"), args: args,
		buyers: "http://" + address(t), operators: "http://" + address(t),
		log: filepath.Join(t.TempDir(), "log"),
	}
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			log, _ := os.ReadFile(n.log)
			t.Logf("end of the node's log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	n.start(t)
	return n
}

// start begins a process over the node's folder, at its addresses.
func (n *node) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer func() { _ = log.Close() }() // the process has its own
	n.command = exec.Command(n.program, append([]string{
		"serve", "--data", n.dir,
		"--listen", strings.TrimPrefix(n.buyers, "http://"),
		"--admin-listen", strings.TrimPrefix(n.operators, "http://"),
	}, n.args...)...)
	n.command.Env, n.command.Stdout, n.command.Stderr = environment(), log, log
	n.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no orphan of a killed test
	must(t, n.command.Start())
	n.exited = make(chan struct{})
	go func(command *exec.Cmd, done chan struct{}) {
		_ = command.Wait() // the log says how it ended
		close(done)
	}(n.command, n.exited)
	within(t, func() error {
		status, body, err := n.ask(http.MethodGet, "/readyz", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("readyz: %d %s", status, body)
		}
		return err
	})
}

// kill ends the process as kill -9 does, and waits for it.
func (n *node) kill() {
	if n.command == nil || n.command.Process == nil {
		return
	}
	_ = n.command.Process.Kill() // it may have ended by itself
	<-n.exited
}

// freeze stops the process in the middle of whatever it does; it still
// accepts connections, as the kernel does that for it.
func (n *node) freeze(t *testing.T) {
	t.Helper()
	must(t, n.command.Process.Signal(syscall.SIGSTOP))
}

// ask sends one request to the operators' listener.
func (n *node) ask(method, path string, body any) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		sent = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, n.operators+path, sent)
	if err != nil {
		return 0, nil, err
	}
	request.Close = true // a restart must not meet an old connection
	request.Header.Set("Authorization", "Bearer "+adminToken)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, errors.Join(err, response.Body.Close())
}

// operate sends what the node has to do, and decodes the answer into target
// unless that is nil.
func (n *node) operate(t *testing.T, method, path string, body, target any) {
	t.Helper()
	status, answer, err := n.ask(method, "/admin/api/v1"+path, body)
	must(t, err)
	if status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if target != nil {
		must(t, json.Unmarshal(answer, target))
	}
}

// sell publishes a sale, new or changed.
func (n *node) sell(t *testing.T, s launch) {
	t.Helper()
	n.operate(t, http.MethodPut, "/sales/"+s.ID, s, nil)
}

// move asks for a phase: open, pause, resume or close.
func (n *node) move(t *testing.T, verb string) {
	t.Helper()
	n.operate(t, http.MethodPost, "/sales/"+launchID+"/"+verb, nil, nil)
}

// orders lists every order of the sale, oldest first.
func (n *node) orders(t *testing.T) []order {
	t.Helper()
	var page struct {
		Orders []order `json:"orders"`
	}
	n.operate(t, http.MethodGet, "/sales/"+launchID+"/orders", nil, &page)
	return page.Orders
}

// balanced wants every invariant of the sale to hold.
func (n *node) balanced(t *testing.T) {
	t.Helper()
	within(t, func() error { // a grant may be on its way
		var report struct {
			OK bool `json:"ok"`
		}
		status, answer, err := n.ask(http.MethodGet, "/admin/api/v1/sales/"+launchID+"/audit", nil)
		if err == nil {
			err = json.Unmarshal(answer, &report)
		}
		if err == nil && !report.OK {
			err = fmt.Errorf("audit: %d %s", status, answer)
		}
		return err
	})
}

// page is the buyer page's address.
func (n *node) page() string { return n.buyers + "/s/" + launchID }

// token is what the shop would put behind #token= for a buyer.
func (n *node) token(t *testing.T, buyer string) string {
	t.Helper()
	return strings.TrimSpace(n.run(t, "token", "--buyer", buyer, "--data", n.dir))
}

// run runs a command of the program to its end.
func (n *node) run(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), n.program, args...)
	command.Env = environment()
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("doorbuster %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(),
		"DOORBUSTER_BUYER_KEY=" + buyerKey, "DOORBUSTER_ADMIN_TOKEN=" + adminToken,
	}
}

// address returns a free one, below the ports that the kernel gives to
// clients: a restarted node finds it free again.
func address(t *testing.T) string {
	t.Helper()
	for range 100 {
		candidate := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000))
		if listener, err := net.Listen("tcp", candidate); err == nil {
			must(t, listener.Close())
			return candidate
		}
	}
	t.Fatal("no free port")
	return ""
}

// within polls until done returns nil, and fails with its last error when
// patience is over.
func within(t *testing.T, done func() error) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for {
		err := done()
		if err == nil {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("still after %s: %v", patience, err)
		}
	}
}
