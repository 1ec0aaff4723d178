package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/servers"
)

// fault is something that goes wrong and is put right again.
type fault struct {
	name   string
	broker bool // it restarts RabbitMQ
	run    func(ctx context.Context) error
}

// faults are all that a run chooses from.
func (c *chaos) faults() []fault {
	return []fault{
		{"kill -9 a node", false, c.killNode},
		{"kill -9 a worker at a crash point", false, c.killWorker},
		{"SIGSTOP a node", false, c.freezeNode},
		{"kill -9 a Redis master", false, c.killMaster},
		{"promote a replica, in-flight writes lost", false, c.promote},
		{"two masters for 250 ms", false, c.twoMasters},
		{"lose all of Redis", false, func(ctx context.Context) error { return c.Redis.Wipe(ctx) }},
		{"restore an old snapshot of a master", false, c.restoreSnapshot},
		{"SIGSTOP a Redis master", false, c.freezeMaster},
		{"move a slot with its keys", false, c.reshard},
		{"SCRIPT FLUSH", false, func(ctx context.Context) error { return c.onMasters(ctx, "SCRIPT", "FLUSH") }},
		{"XTRIM every stream", false, c.trim},
		{"kill -9 PostgreSQL", false, c.killPostgres},
		{"SIGSTOP PostgreSQL", false, c.freezePostgres},
		{"kill -9 RabbitMQ", true, c.killBroker},
		{"SIGSTOP RabbitMQ", false, c.freezeBroker},
		{"cut a link", false, func(ctx context.Context) error { return c.onLink(ctx, (*servers.Proxy).Cut) }},
		{"half-open link", false, func(ctx context.Context) error { return c.onLink(ctx, (*servers.Proxy).Freeze) }},
		{"slow link", false, func(ctx context.Context) error {
			return c.onLink(ctx, func(p *servers.Proxy) { p.SetDelay(c.between(20, 200)) })
		}},
		{"lose replies", false, func(ctx context.Context) error {
			return c.onLink(ctx, func(p *servers.Proxy) { p.DropReplies(1 + c.rng.IntN(5)) })
		}},
	}
}

// between is a random time, in milliseconds.
func (c *chaos) between(low, high int) time.Duration {
	return time.Duration(low+c.rng.IntN(high-low)) * time.Millisecond
}

func (c *chaos) anyNode() *servers.Node { return c.Nodes[c.rng.IntN(len(c.Nodes))] }

func (c *chaos) killNode(ctx context.Context) error {
	n := c.anyNode()
	if err := n.Kill(); err != nil {
		return err
	}
	rest(ctx, c.between(100, 1000))
	return n.Start()
}

// killWorker restarts a node so that it dies where something is half done.
func (c *chaos) killWorker(ctx context.Context) error {
	points := []crash.Point{
		crash.AfterReserve, crash.TicketRead, crash.BeforeCommit, crash.AfterCommit, crash.BeforeSettle, crash.AfterSettle,
		crash.AfterAck, crash.GrantCommitted, crash.GrantApplied, crash.ReclaimedInStock, crash.ReclaimedInLedger, crash.ReleaseCommitted,
	}
	n := c.anyNode()
	if err := n.Kill(); err != nil {
		return err
	}
	if err := n.Start("DOORBUSTER_CRASH_AT=" + string(points[c.rng.IntN(len(points))])); err != nil {
		return err
	}
	select { // not every node comes by every point
	case <-n.Process().Exited():
	case <-ctx.Done():
	case <-time.After(3 * time.Second):
		if err := n.Kill(); err != nil {
			return err
		}
	}
	return n.Start()
}

func (c *chaos) freezeNode(ctx context.Context) error {
	p := c.anyNode().Process()
	if p.State() != nil {
		return nil
	}
	if err := p.Freeze(); err != nil {
		return err
	}
	rest(ctx, c.between(500, 5000))
	return p.Thaw()
}

// master returns a master that serves slots, and a replica of it.
func (c *chaos) master(ctx context.Context) (master, replica servers.Member, err error) {
	all, err := c.Redis.Members(ctx)
	if err != nil {
		return master, replica, err
	}
	c.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, master := range all {
		if master.MasterID != "" || master.Failed || len(master.Slots) == 0 {
			continue
		}
		for _, replica := range all {
			if replica.MasterID == master.ID && !replica.Failed {
				return master, replica, nil
			}
		}
	}
	return master, replica, errNoMaster
}

// errNoMaster: the fault before has not healed; this one is passed over.
var errNoMaster = errors.New("no master with a replica")

func (c *chaos) killMaster(ctx context.Context) error {
	master, _, err := c.master(ctx)
	if err != nil {
		return ignore(err)
	}
	if err := master.Kill(); err != nil {
		return err
	}
	rest(ctx, c.between(200, 4000)) // with or without a failover
	return master.Start(ctx)
}

// promote makes a replica the master without asking anybody: what it has not
// heard of is lost.
func (c *chaos) promote(ctx context.Context) error {
	_, replica, err := c.master(ctx)
	if err != nil {
		return ignore(err)
	}
	_, err = replica.Do(ctx, "CLUSTER", "FAILOVER", "TAKEOVER")
	return err
}

// twoMasters promotes a replica while no node hears of the others.
func (c *chaos) twoMasters(ctx context.Context) error {
	_, replica, err := c.master(ctx)
	if err != nil {
		return ignore(err)
	}
	for _, bus := range c.Redis.Buses {
		bus.Freeze()
	}
	_, err = replica.Do(ctx, "CLUSTER", "FAILOVER", "TAKEOVER")
	rest(ctx, 250*time.Millisecond)
	for _, bus := range c.Redis.Buses {
		bus.Heal()
	}
	return err
}

func (c *chaos) restoreSnapshot(ctx context.Context) error {
	master, replica, err := c.master(ctx)
	if err != nil {
		return ignore(err)
	}
	dir, err := os.MkdirTemp(c.dir, "snapshot-")
	if err != nil {
		return err
	}
	old := filepath.Join(dir, "aof")
	if err := master.Snapshot(old); err != nil {
		return err
	}
	rest(ctx, c.between(200, 1500))
	// The replica is newer, and must not be asked.
	if err := replica.Kill(); err != nil {
		return err
	}
	if err := master.Restore(ctx, old); err != nil {
		return err
	}
	return replica.Start(ctx)
}

func (c *chaos) freezeMaster(ctx context.Context) error {
	master, _, err := c.master(ctx)
	if err != nil {
		return ignore(err)
	}
	if err := master.Freeze(); err != nil {
		return err
	}
	rest(ctx, c.between(200, 4000))
	return master.Thaw()
}

// onMasters runs a command on each master that answers.
func (c *chaos) onMasters(ctx context.Context, args ...string) error {
	all, err := c.Redis.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.MasterID == "" && !m.Failed {
			if _, err := m.Do(ctx, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// keys lists the keys of a kind on a master.
func (c *chaos) keys(ctx context.Context, m servers.Member, pattern string) ([]string, error) {
	out, err := m.Do(ctx, "--scan", "--pattern", pattern)
	return strings.Fields(out), err
}

// trim empties every stream behind everybody's back.
func (c *chaos) trim(ctx context.Context) error {
	all, err := c.Redis.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.MasterID != "" || m.Failed {
			continue
		}
		streams, err := c.keys(ctx, m, "*:q")
		if err != nil {
			return err
		}
		for _, stream := range streams {
			if _, err := m.Do(ctx, "XTRIM", stream, "MAXLEN", "0"); err != nil {
				return err
			}
		}
	}
	return nil
}

// reshard moves the slot of a bucket to another master.
func (c *chaos) reshard(ctx context.Context) error {
	from, _, err := c.master(ctx)
	if err != nil {
		return ignore(err)
	}
	states, err := c.keys(ctx, from, "*:s")
	if err != nil || len(states) == 0 {
		return err
	}
	text, err := from.Do(ctx, "CLUSTER", "KEYSLOT", states[c.rng.IntN(len(states))])
	if err != nil {
		return err
	}
	slot, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	for range 10 {
		to, _, err := c.master(ctx)
		if err != nil {
			return ignore(err)
		}
		if to.ID != from.ID {
			return c.Redis.Move(ctx, slot, to.Redis)
		}
	}
	return nil
}

func (c *chaos) killPostgres(ctx context.Context) error {
	if err := c.Postgres.Kill(); err != nil {
		return err
	}
	rest(ctx, c.between(50, 1500))
	return c.Postgres.Restart(ctx)
}

func (c *chaos) freezePostgres(ctx context.Context) error {
	if err := c.Postgres.Freeze(); err != nil {
		return err
	}
	rest(ctx, c.between(200, 4000))
	return c.Postgres.Thaw()
}

func (c *chaos) killBroker(ctx context.Context) error {
	if err := c.Rabbit.Kill(); err != nil {
		return err
	}
	rest(ctx, c.between(50, 1000))
	return c.Rabbit.Start(ctx)
}

func (c *chaos) freezeBroker(ctx context.Context) error {
	if err := c.Rabbit.Freeze(); err != nil {
		return err
	}
	rest(ctx, c.between(200, 4000))
	return c.Rabbit.Thaw()
}

// onLink hurts the nodes' link to PostgreSQL, RabbitMQ or one node of Redis.
func (c *chaos) onLink(ctx context.Context, hurt func(*servers.Proxy)) error {
	links := append([]*servers.Proxy{c.Database, c.Broker}, c.Redis.Links...)
	link := links[c.rng.IntN(len(links))]
	hurt(link)
	rest(ctx, c.between(200, 2500))
	link.Heal()
	return nil
}

// ignore passes a fault over for which there is no victim at the moment.
func ignore(err error) error {
	if errors.Is(err, errNoMaster) {
		return nil
	}
	return fmt.Errorf("look for a victim: %w", err)
}
