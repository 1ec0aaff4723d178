package servers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Node is one doorbuster of several, started and perhaps ended since.
type Node struct {
	Buyers, Operators string // host:port
	Env               []string
	Log               string

	binary  string
	args    []string
	process *Process
}

// NodeOptions says what a node is.
type NodeOptions struct {
	Binary string
	Dir    string   // gets its log, and is its --data
	Args   []string // of serve, beside the addresses
	Env    []string // secrets and the addresses of its machines
}

// NewNode chooses a node's addresses. Start begins it.
func NewNode(options NodeOptions) (*Node, error) {
	n := &Node{binary: options.Binary, Env: options.Env, Log: filepath.Join(options.Dir, "log")}
	var err error
	if n.Buyers, err = FreeAddress(); err != nil {
		return nil, err
	}
	if n.Operators, err = FreeAddress(); err != nil {
		return nil, err
	}
	n.args = append([]string{
		"serve", "--listen", n.Buyers, "--admin-listen", n.Operators, "--data", options.Dir,
		"--trusted-proxies", "127.0.0.1/32", "--log-format", "json",
	}, options.Args...)
	return n, nil
}

// Start begins a process; more is added to its environment.
func (n *Node) Start(more ...string) error {
	process, err := Start(Command{
		Name: n.binary, Args: n.args, Log: n.Log,
		Env: append(append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, n.Env...), more...),
	})
	if err != nil {
		return err
	}
	n.process = process
	return nil
}

// Ready waits until the node says that a balancer may send buyers.
func (n *Node) Ready(ctx context.Context) error {
	return n.process.Until(ctx, func() error { return ok(ctx, "http://"+n.Operators+"/readyz") })
}

// Process returns the process as it was last started; nil before that.
func (n *Node) Process() *Process { return n.process }

// Running reports whether the process has not ended.
func (n *Node) Running() bool { return n.process != nil && n.process.State() == nil }

// Stop lets the node finish what is in flight, and wants it to end well.
func (n *Node) Stop() error {
	if !n.Running() {
		return nil
	}
	if err := errors.Join(n.process.Thaw(), n.process.Stop(syscall.SIGTERM)); err != nil {
		return err
	}
	if !n.process.State().Success() {
		return errors.New("the node ended with " + n.process.State().String() + ": " + n.process.Said())
	}
	return nil
}

// Kill ends the node as a power cut would.
func (n *Node) Kill() error {
	if !n.Running() {
		return nil
	}
	return n.process.Kill()
}
