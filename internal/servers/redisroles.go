package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/pause"
)

// Member is a node of a cluster as another one sees it.
type Member struct {
	*Redis
	ID       string
	Link     *Proxy // nil: not behind proxies
	Failed   bool
	MasterID string // of a replica; empty: a master
	Slots    []string
}

// Members returns the cluster's nodes as one that runs sees them.
func (c *RedisCluster) Members(ctx context.Context) ([]Member, error) {
	var faults []error
	for _, node := range c.Nodes {
		if node.process.State() != nil {
			continue
		}
		out, err := node.Do(ctx, "CLUSTER", "NODES")
		if err != nil {
			faults = append(faults, err)
			continue
		}
		return c.members(out), nil
	}
	return nil, errors.Join(append(faults, errors.New("no node of the cluster answers"))...)
}

// members reads CLUSTER NODES: id, address, flags, master, ping, pong, epoch,
// state, slots.
func (c *RedisCluster) members(nodes string) []Member {
	var all []Member
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		m := Member{Redis: c.at(fields[1]), ID: fields[0], Failed: strings.Contains(fields[2], "fail"), Slots: fields[8:]}
		if m.Redis == nil {
			continue
		}
		if !strings.Contains(fields[2], "master") {
			m.MasterID = fields[3]
		}
		for i := range c.Links {
			if c.Nodes[i] == m.Redis {
				m.Link = c.Links[i]
			}
		}
		all = append(all, m)
	}
	return all
}

// serving returns the master that serves a slot now.
func (c *RedisCluster) serving(ctx context.Context, slot int) (Member, error) {
	all, err := c.Members(ctx)
	if err != nil {
		return Member{}, err
	}
	for _, m := range all {
		if m.MasterID == "" && !m.Failed && slices.ContainsFunc(m.Slots, func(span string) bool { return inSpan(span, slot) }) {
			return m, nil
		}
	}
	return Member{}, fmt.Errorf("no node serves slot %d", slot)
}

// Move brings a slot and its keys to another master while clients use them, key
// by key, as a reshard does. What a cluster that is still healing refuses is
// tried again until ctx ends; then the slot stays where it is.
func (c *RedisCluster) Move(ctx context.Context, slot int, to *Redis) error {
	for {
		err := c.move(ctx, slot, to)
		if err == nil {
			return nil
		}
		if !pause.For(ctx, moveRest) {
			return errors.Join(err, c.settle(context.WithoutCancel(ctx), slot))
		}
	}
}

// settle ends a move that came to nothing.
func (c *RedisCluster) settle(ctx context.Context, slot int) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	all, err := c.Members(ctx)
	for _, m := range all {
		if m.MasterID == "" && !m.Failed {
			err = errors.Join(err, m.want(ctx, "OK", "CLUSTER", "SETSLOT", strconv.Itoa(slot), "STABLE"))
		}
	}
	return err
}

// moveRest is the pause between two tries to move a slot.
const moveRest = 100 * time.Millisecond

func (c *RedisCluster) move(ctx context.Context, slot int, target *Redis) error {
	from, err := c.serving(ctx, slot)
	if err != nil || from.Redis == target {
		return err
	}
	id, err := target.Do(ctx, "CLUSTER", "MYID")
	if err != nil {
		return err
	}
	number := strconv.Itoa(slot)
	if err := target.want(ctx, "OK", "CLUSTER", "SETSLOT", number, "IMPORTING", from.ID); err != nil {
		return err
	}
	if err := from.want(ctx, "OK", "CLUSTER", "SETSLOT", number, "MIGRATING", id); err != nil {
		return err
	}
	if err := from.migrate(ctx, number, target); err != nil {
		return err
	}
	if err := target.want(ctx, "OK", "CLUSTER", "SETSLOT", number, "NODE", id); err != nil {
		return err
	}
	_ = from.want(ctx, "OK", "CLUSTER", "SETSLOT", number, "NODE", id) // else it hears from the new owner
	return nil
}

// migrate sends the keys of a slot over, until none is left.
func (r *Redis) migrate(ctx context.Context, slot string, to *Redis) error {
	host, port, err := net.SplitHostPort(to.Address)
	if err != nil {
		return err
	}
	for {
		keys, err := r.Do(ctx, "CLUSTER", "GETKEYSINSLOT", slot, "1")
		if err != nil || keys == "" {
			return err
		}
		out, err := r.Do(ctx, "MIGRATE", host, port, keys, "0", "5000")
		if err != nil {
			return err
		}
		if out != "OK" && out != "NOKEY" {
			return fmt.Errorf("migrate %s: %s", keys, out)
		}
	}
}
