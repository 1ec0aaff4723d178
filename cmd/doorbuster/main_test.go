package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"doorbuster": func() { os.Exit(start()) }})
}

// The scripts of testdata/alone need no node.
func TestCommandsThatNeedNoNode(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/alone", Cmds: verbs(), RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error { return examples(env) },
	})
}

// Each script of testdata/node meets a node of its own, whose folder is
// $WORK/data and whose addresses are in the environment.
func TestCommandsAgainstANode(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/node", Cmds: verbs(), RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			if err := examples(env); err != nil {
				return err
			}
			return startNode(env)
		},
	})
}

func examples(env *testscript.Env) error {
	folder, err := filepath.Abs("../../examples")
	env.Setenv("EXAMPLES", folder)
	return err
}

// verbs are what scripts can do beyond testscript's own.
func verbs() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"exits": exits}
}

// exits runs a command and checks its exit code, as in: exits 2 doorbuster token.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// startNode runs serve until the script is over.
func startNode(env *testscript.Env) error {
	data := filepath.Join(env.WorkDir, "data")
	n, err := serveIn(data)
	if err != nil {
		return err
	}
	env.Defer(func() {
		if code := n.stop(); code != exitDone {
			env.T().Log("the node ended with exit code", code, n.logs.String())
			env.T().FailNow()
		}
	})
	env.Setenv("DOORBUSTER_DATA", data)
	env.Setenv("DOORBUSTER_ADMIN_URL", n.operators)
	return nil
}

// served is a serve command that runs inside the test.
type served struct {
	buyers    string
	operators string
	logs      *bytes.Buffer // read it after stop
	stop      func() int    // asks it to end, waits, returns its exit code
}

// serveIn starts serve and returns when it has told where it listens, or an
// error with its exit code where it ends first.
func serveIn(data string, more ...string) (*served, error) {
	ctx, cancel := context.WithCancel(context.Background())
	told, tell := io.Pipe()
	n := &served{logs: &bytes.Buffer{}}
	ended := make(chan int, 1)
	args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, more...)
	go func() {
		ended <- run(ctx, args, program{getenv: func(string) string { return "" }, stdout: tell, stderr: n.logs})
		_ = tell.Close()
	}()
	n.stop = func() int {
		cancel()
		return <-ended
	}
	lines := bufio.NewScanner(told)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 2 && words[0] == "buyers" {
			n.buyers = words[1]
		}
		if len(words) == 2 && words[0] == "operators" {
			n.operators = words[1]
			go func() { _, _ = io.Copy(io.Discard, told) }()
			return n, nil
		}
	}
	return nil, fmt.Errorf("serve ended with exit code %d: %s", n.stop(), n.logs.String())
}

func TestASaleFileThatBreaksAPromiseEndsServeAndChangesNothing(t *testing.T) {
	data, folder := t.TempDir(), t.TempDir()
	file := func(name, price string) string {
		path := filepath.Join(folder, name)
		text := "id: drop\ntitle: Drop\nopens_at: 2020-01-01T00:00:00Z\nitems:\n" +
			"  - {sku: a, title: A, stock: 5, price: {amount: " + price + ", currency: EUR}}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cheap, dear := file("cheap.yaml", "100"), file("dear.yaml", "900")
	for range 2 { // the second start finds the file published
		n, err := serveIn(data, "--sale", cheap)
		if err != nil {
			t.Fatal(err)
		}
		if code := n.stop(); code != exitDone {
			t.Fatalf("exit code %d: %s", code, n.logs)
		}
	}
	_, err := serveIn(data, "--sale", dear)
	if err == nil || !strings.Contains(err.Error(), "exit code 2") || !strings.Contains(err.Error(), "price of a: the sale has been open; keep 100 EUR") {
		t.Errorf("error is %v", err)
	}
	n, err := serveIn(data)
	if err != nil {
		t.Fatal(err)
	}
	defer n.stop()
	var out bytes.Buffer
	env := func(name string) string {
		return map[string]string{"DOORBUSTER_ADMIN_URL": n.operators, "DOORBUSTER_DATA": data}[name]
	}
	if code := run(t.Context(), []string{"sale", "show", "drop"}, program{getenv: env, stdout: &out, stderr: &out}); code != exitDone || !strings.Contains(out.String(), "1.00 EUR") {
		t.Errorf("exit code %d:\n%s", code, out.String())
	}
}
