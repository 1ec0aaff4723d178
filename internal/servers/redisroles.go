package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
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
// reshard does. What a cluster that is still healing refuses is tried again
// until ctx ends; then the slot is left where it was.
func (c *RedisCluster) MoveSlot(ctx context.Context, slot string, from, to Member) error {
	for {
		err := moveSlot(ctx, slot, from, to)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(moveRest)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			amends, cancel := context.WithTimeout(context.WithoutCancel(ctx), startMax)
			defer cancel()
			return errors.Join(err, from.want(amends, "OK", "CLUSTER", "SETSLOT", slot, "STABLE"), to.want(amends, "OK", "CLUSTER", "SETSLOT", slot, "STABLE"))
		}
	}
}

// moveRest is the pause between two tries to move a slot.
const moveRest = 100 * time.Millisecond

func moveSlot(ctx context.Context, slot string, from, to Member) error {
	if err := to.want(ctx, "OK", "CLUSTER", "SETSLOT", slot, "IMPORTING", from.ID); err != nil {
		return err
	}
	if err := from.want(ctx, "OK", "CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID); err != nil {
		return err
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
		out, err := from.Do(ctx, "MIGRATE", host, port, keys, "0", "5000")
		if err != nil {
			return err
		}
		if out != "OK" && out != "NOKEY" {
			return fmt.Errorf("migrate %s: %s", keys, out)
		}
	}
	if err := to.want(ctx, "OK", "CLUSTER", "SETSLOT", slot, "NODE", to.ID); err != nil {
		return err
	}
	_ = from.want(ctx, "OK", "CLUSTER", "SETSLOT", slot, "NODE", to.ID) // else it hears from the new owner
	return nil
}
