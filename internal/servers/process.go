// Package servers starts the real servers that tests, benchmarks and make
// cluster run against: Debian's own programs, on free ports, in folders of
// their own, ended by their process ids.
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startMax = 3 * time.Minute  // from exec to ready; a node looks over ten million orders first
	stopMax  = 30 * time.Second // from the signal to the end
	pollRest = 2 * time.Millisecond
)

// Command says what to start.
type Command struct {
	Name string // of the program, found in PATH or where Debian puts servers
	Args []string
	Env  []string // nil: this process's
	Dir  string   // working folder; empty: this process's
	Log  string   // file that gets its output
	User *User    // nil: this process's
}

// User is whom a process runs as.
type User struct{ UID, GID uint32 }

// Process is a program that was started, or has ended.
type Process struct {
	Log     string // file of what it printed
	command *exec.Cmd
	exited  chan struct{}
}

// Start starts a program that ends together with this process.
func Start(c Command) (*Process, error) {
	name, err := find(c.Name)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the process has its own
	p := &Process{Log: c.Log, command: exec.Command(name, c.Args...), exited: make(chan struct{})}
	p.command.Env, p.command.Dir = c.Env, c.Dir
	p.command.Stdout, p.command.Stderr = out, out
	// Setpgid, so that a Ctrl-C at the terminal is for whoever started it to
	// pass on, and Kill reaches its children. Not SIGKILL at the parent's
	// death, which would leave a server's workers behind.
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if c.User != nil {
		p.command.SysProcAttr.Credential = &syscall.Credential{Uid: c.User.UID, Gid: c.User.GID}
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.command.Wait() // whoever waits reads the state
		close(p.exited)
	}()
	return p, nil
}

// find returns the program's path: a user's PATH may lack /usr/sbin, and
// PostgreSQL's programs lie in a folder per version.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range []string{"/usr/sbin/", "/usr/lib/postgresql/*/bin/", "/usr/lib/rabbitmq/bin/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s is not installed: run make deps", name)
}

// Name returns the path of the program.
func (p *Process) Name() string { return p.command.Path }

// PID returns the process's id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Exited closes when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// State says how the process ended; nil while it runs.
func (p *Process) State() *os.ProcessState {
	select {
	case <-p.exited:
		return p.command.ProcessState
	default:
		return nil
	}
}

// Until polls done until it returns nil, ctx ends or the process does.
func (p *Process) Until(ctx context.Context, done func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	tick := time.NewTicker(pollRest)
	defer tick.Stop()
	for {
		err := done()
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended with %s: %s", p.command.Path, p.command.ProcessState, p.Said())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", p.command.Path, err, p.Said())
		case <-tick.C:
		}
	}
}

// Said returns the end of what the process printed.
func (p *Process) Said() string {
	const most = 4000
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

// Signal sends a signal to the process alone. One that has ended needs none.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Stop ends the process with a signal, and waits for it. One that does not end
// in time is killed, and that is an error.
func (p *Process) Stop(signal syscall.Signal) error {
	if err := p.Signal(signal); err != nil {
		return err
	}
	timer := time.NewTimer(stopMax)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s still runs %s after %s", p.command.Path, stopMax, signal), p.Kill())
	}
}

// Kill ends the process and its children as a power cut would, and waits.
func (p *Process) Kill() error {
	err := p.signalGroup(syscall.SIGKILL)
	<-p.exited
	return err
}

// Freeze stops the process and its children without ending them; Thaw lets
// them go on.
func (p *Process) Freeze() error { return p.signalGroup(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (p *Process) Thaw() error { return p.signalGroup(syscall.SIGCONT) }

func (p *Process) signalGroup(signal syscall.Signal) error {
	if err := syscall.Kill(-p.PID(), signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Output runs a program to its end and returns what it printed.
func Output(ctx context.Context, name string, args ...string) (string, error) {
	path, err := find(name)
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, path, args...)
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return string(out), nil
}
