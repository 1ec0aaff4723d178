package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// MoveSlot gives a slot with its keys to another master, key by key, as a
// reshard does.
func (c *RedisCluster) MoveSlot(ctx context.Context, slot string, from, to Member) error {
	steps := []struct {
		at   Member
		args []string
	}{
		{to, []string{"CLUSTER", "SETSLOT", slot, "IMPORTING", from.ID}},
		{from, []string{"CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID}},
	}
	for _, step := range steps {
		if err := step.at.want(ctx, "OK", step.args...); err != nil {
			return err
		}
	}
	host, port, _ := strings.Cut(to.Address, ":")
	for {
		keys, err := from.Do(ctx, "CLUSTER", "GETKEYSINSLOT", slot, "1")
		if err != nil {
			return err
		}
		if keys == "" {
			break
		}
		if out, err := from.Do(ctx, "MIGRATE", host, port, keys, "0", "5000"); err != nil || !strings.Contains(out, "OK") {
			return fmt.Errorf("migrate %s: %s, %w", keys, out, err)
		}
	}
	var faults []error
	for _, at := range []Member{to, from} {
		faults = append(faults, at.want(ctx, "OK", "CLUSTER", "SETSLOT", slot, "NODE", to.ID))
	}
	return errors.Join(faults...)
}
