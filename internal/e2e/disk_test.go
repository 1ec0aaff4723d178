package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// insideEnv marks a test that runs again where it may mount.
const insideEnv = "DOORBUSTER_E2E_INSIDE"

// smallDisk mounts a disk of its own, of so many bytes. A user who may not
// mount runs the test again in a namespace where they may; then ok is false
// and the test is over.
func smallDisk(t *testing.T, size int) (dir string, ok bool) {
	t.Helper()
	if testing.Short() {
		t.Skip("mounts a disk; left to make e2e")
	}
	dir = t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size))
	if errors.Is(err, syscall.EPERM) && os.Getenv(insideEnv) == "" {
		again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), insideEnv+"=1")
		again.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := again.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatalf("in a namespace of its own: %v", err)
		}
		return "", false
	}
	if err != nil {
		t.Fatalf("mount a small disk: %v; run this as root, or where users may have namespaces", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// fill writes until the disk has no room.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, 4096)
	for {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// counter buys one unit after another, each as a new buyer.
type counter struct {
	*street
	sale *sale
	next int
}

func (c *counter) buy(t *testing.T) *answer {
	t.Helper()
	c.next++
	who := c.shopper(t, fmt.Sprintf("buyer-%06d", c.next))
	return who.buy(t.Context(), wish{c.sale.ID, "one", c.sale.Items[0].SKU, 1})
}

// opened serves a new node with one open sale, and a counter before it.
func opened(t *testing.T, s setup) (*node, *counter) {
	t.Helper()
	n := serve(t, s)
	c := &counter{street: newStreet(t, n, 64), sale: newSale("plenty", 1, map[string]int64{"one": 100_000})}
	n.operator().publish(t, c.sale)
	return n, c
}

// kept wants every promise ever made to stand, and the books to balance.
func (c *counter) kept(t *testing.T, n *node) {
	t.Helper()
	for _, fault := range c.history.faults(c.sale, n.operator().orders(t, c.sale.ID)) {
		t.Error(fault)
	}
	if all := n.operator().sale(t, c.sale.ID).sum(); all.leak() != 0 {
		t.Errorf("units at the end: %+v", all)
	}
	n.audited(t)
}

// TestDiskFull: without room nothing is sold and nothing is lost; with room
// again it goes on by itself.
func TestDiskFull(t *testing.T) {
	disk, ok := smallDisk(t, 8<<20)
	if !ok {
		return
	}
	n, c := opened(t, setup{dir: filepath.Join(disk, "data")})
	for range 50 {
		if a := c.buy(t); a.kind() != decided {
			t.Fatalf("before: %s", a)
		}
	}
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	within(t, readyMax, func() error {
		if a := c.buy(t); a.status != http.StatusServiceUnavailable || a.code != "unavailable" {
			return fmt.Errorf("without room: %s, want 503 unavailable", a)
		}
		return nil
	})
	status, body := n.health("/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "room") && !strings.Contains(body, "disk") {
		t.Errorf("readyz without room: %d %s, want 503 and the reason", status, body)
	}
	if status, _ := fetch(t.Context(), n.buyers+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("the buyers' readyz without room: %d, want 503", status)
	}
	if phase := n.operator().sale(t, c.sale.ID).Phase; phase != "open" {
		t.Errorf("phase without room: %s, want open: it is not the operator's pause", phase)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	within(t, readyMax, func() error {
		if a := c.buy(t); a.kind() != decided {
			return fmt.Errorf("with room again: %s", a)
		}
		return nil
	})
	n.ready(t)
	c.kept(t, n)
	n.kill()
	n.start(t)
	n.ready(t)
	c.kept(t, n)
}

// TestSyncFails: after a failed fsync the process ends at once, and the next
// one has every order that was ever answered.
func TestSyncFails(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	s := setup{dir: filepath.Join(t.TempDir(), "data")}
	n, c := opened(t, s)
	for range 20 {
		c.buy(t)
	}
	n.stop(t)
	n.wrapper = []string{
		"strace", "-f", "-qq", "--seccomp-bpf", "-o", trace,
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when=30+",
	}
	n.start(t)
	n.ready(t)
	within(t, readyMax, func() error {
		if c.buy(t); !n.ended() {
			return errors.New("the node goes on after a failed fsync")
		}
		return nil
	})
	if code := n.wait(t, readyMax); code == 0 {
		t.Error("exit code 0 after a failed fsync")
	}
	injected, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if failed := strings.Count(string(injected), "(INJECTED)"); failed != 1 {
		t.Errorf("%d syncs failed before the end, want 1: never go on after one\n%s", failed, tail(string(injected), 1000))
	}
	n.wrapper = nil
	n.start(t)
	n.ready(t)
	c.kept(t, n)
}

// TestTwoProcesses: the second on a folder says so and ends.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	n, c := opened(t, setup{})
	code, out := doorbuster(t, "serve", "--data", n.dir, "--listen", address(t), "--admin-listen", address(t))
	if code == 0 || !strings.Contains(out, n.dir) || !strings.Contains(out, "in use") {
		t.Errorf("second process: exit %d, %s; want a failure that names the folder", code, out)
	}
	if a := c.buy(t); a.kind() != decided {
		t.Errorf("the first after that: %s", a)
	}
	c.kept(t, n)
}
