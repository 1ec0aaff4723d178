package servers

import (
	"context"
	"errors"
	"net"
)

// StartStandby copies the server into dir, an empty folder, and serves the
// copy as a standby that follows it, without anybody waiting for it. It reaches
// the server through link; nil: directly.
func (p *Postgres) StartStandby(ctx context.Context, dir string, link *Proxy) (*Postgres, error) {
	address := p.Address
	if link != nil {
		address = link.Address
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	standby := &Postgres{dir: dir, settings: p.settings}
	return standby, standby.make(ctx, "pg_basebackup", "--host="+host, "--port="+port, "--username="+postgresUser,
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
}

// Promote makes a standby a server of its own that takes writes.
func (p *Postgres) Promote(ctx context.Context) error {
	out, err := p.Ask(ctx, "postgres", "SELECT pg_promote()")
	if err == nil && out != "t" {
		err = errors.New("the standby was not promoted: " + p.Said())
	}
	return err
}
