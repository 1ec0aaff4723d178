package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// RedisCluster is a Redis Cluster on this machine.
type RedisCluster struct {
	Nodes []*Redis // masters first, as it was formed

	// Links and Buses are the proxies through which clients, and the nodes among
	// themselves, reach each node; none unless it was started behind proxies.
	Links, Buses []*Proxy
}

// nodeTimeout is after how many milliseconds a silent node counts as failed.
const nodeTimeout = "1500"

// StartRedisCluster starts a cluster in dir, an empty folder: masters with so
// many replicas each. It returns when every node sees all slots served.
func StartRedisCluster(ctx context.Context, dir string, masters, replicas int) (*RedisCluster, error) {
	return startCluster(ctx, dir, masters, replicas, func(context.Context, *RedisCluster, string) ([]string, error) { return nil, nil })
}

// announcer returns further settings of the node that will listen at an
// address.
type announcer func(ctx context.Context, c *RedisCluster, address string) ([]string, error)

func startCluster(ctx context.Context, dir string, masters, replicas int, more announcer) (*RedisCluster, error) {
	c := &RedisCluster{}
	for n := range masters * (1 + replicas) {
		folder := filepath.Join(dir, strconv.Itoa(n))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return c, err
		}
		address, err := FreeAddress()
		if err != nil {
			return c, errors.Join(err, c.Kill())
		}
		further, err := more(ctx, c, address)
		if err != nil {
			return c, errors.Join(err, c.Kill())
		}
		// Without full coverage, the death of one master stops its own slots
		// alone.
		node, err := startRedisAt(ctx, address, folder, append(further, "--cluster-enabled", "yes", "--cluster-node-timeout", nodeTimeout,
			"--cluster-require-full-coverage", "no", "--cluster-config-file", "nodes.conf")...)
		if err != nil {
			return c, errors.Join(err, c.Kill())
		}
		c.Nodes = append(c.Nodes, node)
	}
	if err := c.form(ctx, replicas); err != nil {
		return c, errors.Join(err, c.Kill())
	}
	return c, nil
}

func (c *RedisCluster) form(ctx context.Context, replicas int) error {
	args := append([]string{"--cluster", "create"}, c.addresses()...)
	args = append(args, "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")
	if _, err := Output(ctx, "redis-cli", args...); err != nil {
		return err
	}
	return c.Ready(ctx)
}

// Ready waits until every node that runs sees all slots served and every
// replica has its master's data.
func (c *RedisCluster) Ready(ctx context.Context) error {
	for _, node := range c.Nodes {
		if node.process.State() != nil {
			continue
		}
		err := node.process.Until(ctx, func() error {
			if err := node.want(ctx, "cluster_state:ok", "CLUSTER", "INFO"); err != nil {
				return err
			}
			return node.settled(ctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// settled says that a replica has its data; a master always does.
func (r *Redis) settled(ctx context.Context) error {
	out, err := r.Do(ctx, "INFO", "replication")
	if err != nil {
		return err
	}
	if strings.Contains(out, "role:slave") && !strings.Contains(out, "master_link_status:up") {
		return fmt.Errorf("%s has no link to its master", r.Address)
	}
	return nil
}

func (c *RedisCluster) addresses() []string {
	var all []string
	for _, node := range c.Nodes {
		all = append(all, node.Address)
	}
	return all
}

// URL names every node, as clients reach it.
func (c *RedisCluster) URL() string {
	if c.Links == nil {
		return "redis://" + strings.Join(c.addresses(), ",")
	}
	var all []string
	for _, link := range c.Links {
		all = append(all, link.Address)
	}
	return "redis://" + strings.Join(all, ",")
}

// Master returns the node that serves a slot now, as any running node sees it.
func (c *RedisCluster) Master(ctx context.Context, slot int) (*Redis, error) {
	m, err := c.serving(ctx, slot)
	return m.Redis, err
}

// inSpan reads "0-5460" or "42"; what begins with [ is a slot on its way.
func inSpan(span string, slot int) bool {
	from, to, ok := strings.Cut(span, "-")
	if !ok {
		to = from
	}
	first, err := strconv.Atoi(from)
	if err != nil {
		return false
	}
	last, err := strconv.Atoi(to)
	return err == nil && first <= slot && slot <= last
}

// at finds a node by its address as CLUSTER NODES writes it, with the bus's
// port behind an @.
func (c *RedisCluster) at(address string) *Redis {
	address, _, _ = strings.Cut(address, "@")
	for i, node := range c.Nodes {
		if node.Address == address || (c.Links != nil && c.Links[i].Address == address) {
			return node
		}
	}
	return nil
}

// Stop ends every node.
func (c *RedisCluster) Stop() error { return c.each((*Redis).Stop) }

// Kill ends every node as a power cut would.
func (c *RedisCluster) Kill() error { return c.each((*Redis).Kill) }

// Wipe kills every node and starts it again with nothing, in the same cluster.
func (c *RedisCluster) Wipe(ctx context.Context) error {
	if err := c.Kill(); err != nil {
		return err
	}
	if err := c.each((*Redis).clear); err != nil {
		return err
	}
	if err := c.each(func(r *Redis) error { return r.Start(ctx) }); err != nil {
		return err
	}
	return c.Ready(ctx)
}

func (c *RedisCluster) each(do func(*Redis) error) error {
	var faults []error
	for _, node := range c.Nodes {
		faults = append(faults, do(node))
	}
	return errors.Join(faults...)
}
