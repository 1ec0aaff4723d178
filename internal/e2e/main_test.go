// Package e2e proves the finished program from outside: crowds, kills, faults
// and floods against real processes over real folders.
package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Where the tests find what TestMain built. Whoever sets the variable has
// built both.
const (
	binariesEnv = "DOORBUSTER_E2E_BINARIES"
	plain       = "doorbuster"
	crashing    = "doorbuster-crashpoints" // dies at the point that DOORBUSTER_CRASH_AT names
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runWithBinaries(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runWithBinaries(m *testing.M) (code int, err error) {
	if testing.Short() || os.Getenv(binariesEnv) != "" {
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "doorbuster-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Setenv(binariesEnv, dir); err != nil {
		return 1, err
	}
	for name, tags := range map[string]string{plain: "", crashing: "crashpoints"} {
		if err := build(filepath.Join(dir, name), tags); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

func build(to, tags string) error {
	command := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", tags, "-o", to, "./cmd/doorbuster")
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", filepath.Base(to), err, out)
	}
	return nil
}

// binary returns the path of a built program.
func binary(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(os.Getenv(binariesEnv), name)
}

// number reads a whole number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q; want a whole number from 1", name, text)
	}
	return n
}

// seed returns what every random choice of a test begins with, and prints it.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := number(t, "DOORBUSTER_SEED", int(time.Now().UnixNano()&0xffffff)+1)
	t.Logf("repeat the same choices with DOORBUSTER_SEED=%d", n)
	return uint64(n)
}

// within polls until done returns nil, and fails with its last error when the
// time is over.
func within(t *testing.T, limit time.Duration, done func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still after %s: %v", limit, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
