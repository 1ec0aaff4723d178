package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Redis is one redis-server, started and perhaps ended since.
type Redis struct {
	Address string
	Dir     string   // its data folder
	Wrapper []string // a program that starts it from now on, such as strace

	args    []string
	process *Process
}

// StartRedis starts a Redis that keeps an append-only file in dir, an empty
// folder. args are further settings, such as "--appendfsync", "always".
func StartRedis(ctx context.Context, dir string, args ...string) (*Redis, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	return startRedisAt(ctx, address, dir, args...)
}

func startRedisAt(ctx context.Context, address, dir string, args ...string) (*Redis, error) {
	r := &Redis{Address: address, Dir: dir, args: args}
	return r, r.Start(ctx)
}

// Start starts a server that was ended, on its folder and port.
func (r *Redis) Start(ctx context.Context) error {
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return err
	}
	args := append([]string{
		"--port", port, "--bind", host, "--dir", r.Dir, "--daemonize", "no", "--save", "",
		"--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction",
		"--repl-diskless-sync-delay", "0", // no waiting for a second replica
	}, r.args...)
	line := append(append(append([]string{}, r.Wrapper...), "redis-server"), args...)
	r.process, err = Start(Command{Name: line[0], Args: line[1:], Log: filepath.Join(r.Dir, "redis.log")})
	if err != nil {
		return err
	}
	return r.process.Until(ctx, func() error { return r.want(ctx, "PONG", "PING") })
}

// Do runs a command with redis-cli and returns what it printed. What Redis
// answers with an error is one.
func (r *Redis) Do(ctx context.Context, args ...string) (string, error) {
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return "", err
	}
	out, err := Output(ctx, "redis-cli", append([]string{"-e", "-h", host, "-p", port}, args...)...)
	return strings.TrimSpace(out), err
}

// want runs a command and wants part in its answer.
func (r *Redis) want(ctx context.Context, part string, args ...string) error {
	out, err := r.Do(ctx, args...)
	if err != nil {
		return err
	}
	if !strings.Contains(out, part) {
		return fmt.Errorf("%s says %q to %v, want %q", r.Address, out, args, part)
	}
	return nil
}

// URL is what a client is given.
func (r *Redis) URL() string { return "redis://" + r.Address }

// Process returns the process as it was last started.
func (r *Redis) Process() *Process { return r.process }

// Stop ends the server, which writes its file first.
func (r *Redis) Stop() error { return errors.Join(r.Thaw(), r.process.Stop(syscall.SIGTERM)) }

// Kill ends the server as a power cut would.
func (r *Redis) Kill() error { return r.process.Kill() }

// Restart kills the server and starts it again with what its file holds.
func (r *Redis) Restart(ctx context.Context) error {
	if err := r.Kill(); err != nil {
		return err
	}
	return r.Start(ctx)
}

// Wipe kills the server and starts it again with nothing.
func (r *Redis) Wipe(ctx context.Context) error {
	if err := r.Kill(); err != nil {
		return err
	}
	if err := r.clear(); err != nil {
		return err
	}
	return r.Start(ctx)
}

func (r *Redis) file() string { return filepath.Join(r.Dir, "appendonlydir") }

// clear removes what the server wrote about its keys. A cluster's node keeps
// nodes.conf beside it, which is no data.
func (r *Redis) clear() error {
	return errors.Join(os.RemoveAll(r.file()), os.RemoveAll(filepath.Join(r.Dir, "dump.rdb")))
}

// Snapshot copies what the server has on disk to an empty folder.
func (r *Redis) Snapshot(to string) error { return os.CopyFS(to, os.DirFS(r.file())) }

// Restore kills the server and starts it with a snapshot instead of its data.
func (r *Redis) Restore(ctx context.Context, from string) error {
	if err := r.Kill(); err != nil {
		return err
	}
	if err := r.clear(); err != nil {
		return err
	}
	if err := os.CopyFS(r.file(), os.DirFS(from)); err != nil {
		return err
	}
	return r.Start(ctx)
}

// Freeze stops the server without ending it; Thaw lets it go on.
func (r *Redis) Freeze() error { return r.process.Freeze() }

// Thaw ends a Freeze.
func (r *Redis) Thaw() error { return r.process.Thaw() }

// StartReplica starts a replica of the server in dir, an empty folder, and
// waits until it has the data.
func (r *Redis) StartReplica(ctx context.Context, dir string, args ...string) (*Redis, error) {
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return nil, err
	}
	replica, err := StartRedis(ctx, dir, append([]string{"--replicaof", host + " " + port}, args...)...)
	if err != nil {
		return replica, err
	}
	return replica, replica.process.Until(ctx, func() error { return replica.want(ctx, "master_link_status:up", "INFO", "replication") })
}

// Promote makes a replica a master.
func (r *Redis) Promote(ctx context.Context) error {
	return r.want(ctx, "OK", "REPLICAOF", "NO", "ONE")
}

// Follow makes the server a replica of another.
func (r *Redis) Follow(ctx context.Context, master *Redis) error {
	host, port, err := net.SplitHostPort(master.Address)
	if err != nil {
		return err
	}
	return r.want(ctx, "OK", "REPLICAOF", host, port)
}
