package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// postgresUser owns the databases and may do everything in them.
const postgresUser = "postgres"

// Postgres is a PostgreSQL server in a folder of its own.
type Postgres struct {
	*Process
	Address string // host:port

	dir      string
	user     *User
	settings []string
}

// StartPostgres makes a database cluster in dir, which is empty, and serves it
// on a free loopback port to everybody there. It never runs as root, so the
// folders above dir are made passable. settings are further ones, such as
// "max_connections=20".
func StartPostgres(ctx context.Context, dir string, settings ...string) (*Postgres, error) {
	p := &Postgres{dir: dir, settings: settings}
	return p, p.make(ctx, "initdb", "--username="+postgresUser, "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--data-checksums")
}

// make lets a program fill the data folder, and serves it.
func (p *Postgres) make(ctx context.Context, program string, args ...string) error {
	if err := p.lodge(); err != nil {
		return err
	}
	made, err := Start(Command{
		Name: program, User: p.user, Dir: p.dir, Log: filepath.Join(p.dir, program+".log"),
		Args: append([]string{"--pgdata=" + p.Data()}, args...),
	})
	if err != nil {
		return err
	}
	select {
	case <-made.Exited():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), made.Kill())
	}
	if state := made.State(); !state.Success() {
		return fmt.Errorf("%s: %s: %s", program, state, made.Said())
	}
	if p.Address, err = FreeAddress(); err != nil {
		return err
	}
	return p.serve(ctx)
}

// Data is the folder with the server's files.
func (p *Postgres) Data() string { return filepath.Join(p.dir, "data") }

// lodge gives the folder to whom the server runs as.
func (p *Postgres) lodge() error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup(postgresUser)
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return fmt.Errorf("nobody to run PostgreSQL as: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	p.user = &User{UID: uint32(uid), GID: uint32(gid)}
	temp := filepath.Clean(os.TempDir())
	for above := filepath.Dir(p.dir); strings.HasPrefix(above, temp+string(filepath.Separator)); above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err == nil {
			err = os.Chmod(above, info.Mode().Perm()|0o011)
		}
		if err != nil {
			return err
		}
	}
	return os.Chown(p.dir, int(p.user.UID), int(p.user.GID))
}

// serve starts the server on its folder and port and waits until it answers.
func (p *Postgres) serve(ctx context.Context) error {
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		return err
	}
	args := []string{"-D", p.Data(), "-p", port}
	for _, setting := range append([]string{
		"listen_addresses=" + host,
		"unix_socket_directories=", // a path of a test may be too long for a socket
		"shared_buffers=128MB", "max_connections=200", "fsync=on",
		"max_wal_size=4GB", "log_min_messages=warning",
	}, p.settings...) {
		args = append(args, "-c", setting)
	}
	process, err := Start(Command{
		Name: "postgres", User: p.user, Dir: p.dir, Log: filepath.Join(p.dir, "postgres.log"), Args: args,
	})
	if err != nil {
		return err
	}
	p.Process = process
	return process.Until(ctx, func() error {
		_, err := Output(ctx, "pg_isready", "-q", "-h", host, "-p", port, "-t", "1")
		return err
	})
}

// URL is how a client reaches the database.
func (p *Postgres) URL(database string) string {
	return "postgres://" + postgresUser + "@" + p.Address + "/" + database + "?sslmode=disable"
}

// CreateDatabase makes an empty database.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		return err
	}
	_, err = Output(ctx, "createdb", "-h", host, "-p", port, "-U", postgresUser, name)
	return err
}

// Ask runs a statement with psql and returns what it printed: rows, and
// columns with a bar between them.
func (p *Postgres) Ask(ctx context.Context, database, statement string) (string, error) {
	out, err := Output(ctx, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement, p.URL(database))
	return strings.TrimSpace(out), err
}

// Stop ends the server in order; clients are sent away.
func (p *Postgres) Stop() error { return p.Process.Stop(syscall.SIGINT) }

// Kill ends the server as a power cut would, and waits.
func (p *Postgres) Kill() error {
	if p.State() != nil {
		return nil
	}
	// The postmaster first stands still, so that it tidies nothing up and
	// starts nobody while its processes end: each is a group of its own.
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	family := descendants(p.PID())
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL) // one that ended meanwhile is as dead
	}
	if err := p.Process.Kill(); err != nil {
		return err
	}
	return gone(family)
}

// Restart serves the same folder on the same port again. One that runs is
// stopped before.
func (p *Postgres) Restart(ctx context.Context) error {
	if p.State() == nil {
		if err := p.Stop(); err != nil {
			return err
		}
	}
	return p.serve(ctx)
}

// Freeze stops every process of the server without ending it.
func (p *Postgres) Freeze() error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for _, pid := range descendants(p.PID()) {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return nil
}

// Thaw ends a Freeze.
func (p *Postgres) Thaw() error {
	for _, pid := range descendants(p.PID()) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	return p.Signal(syscall.SIGCONT)
}
