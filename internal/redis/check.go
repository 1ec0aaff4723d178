package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// Refused says why a Redis, or how it was to be used, is refused, and what to
// set.
type Refused struct {
	Why string

	passing bool // a cluster that is healing may look so for a moment
}

func (r Refused) Error() string { return "redis: " + r.Why }

func refused(format string, args ...any) error { return Refused{Why: fmt.Sprintf(format, args...)} }

// What may be accepted, each by its own name.
const (
	acceptEviction  = "eviction"
	acceptNoAOF     = "no-aof"
	acceptNoReplica = "no-replicas"
	acceptUnchecked = "unchecked"
)

// AcceptNames returns the names that Options.Accept may hold: "eviction" (keys
// may be thrown away when memory is short), "no-aof" (a restart loses
// everything), "no-replicas" (a cluster's master has nobody to take over),
// "unchecked" (Redis does not let us look).
func AcceptNames() []string {
	return []string{acceptEviction, acceptNoAOF, acceptNoReplica, acceptUnchecked}
}

func acceptable(name string) bool { return slices.Contains(AcceptNames(), name) }

// check looks at every master. It returns how many there are, and what is
// wrong but accepted.
func (c *Client) check(ctx context.Context) (int, []string, error) {
	look, masters := inspection{client: c}, 1
	cluster := c.conn.Mode() == rueidis.ClientModeCluster
	if cluster {
		var err error
		if masters, err = c.count(ctx); err != nil {
			return 0, nil, err
		}
		look.bereft = c.bereft(ctx)
	}
	for address, node := range c.conn.Nodes() {
		facts, err := c.facts(ctx, node)
		switch {
		case look.forbidden(err):
		case err != nil && cluster: // the others sell meanwhile
			look.warnings = append(look.warnings, address+" did not answer when Redis was checked")
		case err != nil:
			return 0, nil, fmt.Errorf("look at Redis %s: %w", address, err)
		case !cluster || facts["role"] == "master":
			look.node(address, facts, cluster)
		}
	}
	if cluster {
		look.coverage(ctx)
	}
	if len(look.faults) > 0 {
		return 0, nil, Refused{Why: strings.Join(unique(look.faults), "\n"), passing: len(look.faults) == look.alones}
	}
	for _, warning := range unique(look.warnings) {
		c.options.Log.Warn("Redis", "warning", warning)
	}
	return masters, unique(look.warnings), nil
}

// count returns how many masters serve the cluster's slots.
func (c *Client) count(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	spans, err := c.conn.Do(ctx, c.conn.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return 0, fmt.Errorf("read the cluster's map: %w", err)
	}
	masters := map[string]bool{}
	for i := range spans { // first slot, last slot, the master's address and port, replicas
		span, err := spans[i].ToArray()
		if err != nil || len(span) < 3 {
			return 0, errors.Join(errAnswer, err)
		}
		master, err := span[2].ToArray()
		if err != nil || len(master) < 2 {
			return 0, errors.Join(errAnswer, err)
		}
		host, hostErr := master[0].ToString()
		port, err := master[1].AsInt64()
		if err := errors.Join(hostErr, err); err != nil {
			return 0, errors.Join(errAnswer, err)
		}
		masters[host+":"+decimal(port)] = true
	}
	if len(masters) == 0 {
		return 0, errors.New("redis: nobody serves the cluster's slots")
	}
	return len(masters), nil
}

// bereft reports whether a node of the cluster is dead at the moment, as far as
// we may look.
func (c *Client) bereft(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	nodes, err := c.conn.Do(ctx, c.conn.B().ClusterNodes().Build()).ToString()
	if err != nil {
		return false
	}
	for line := range strings.Lines(nodes) { // id, address, flags, …
		if fields := strings.Fields(line); len(fields) > 2 && slices.Contains(strings.Split(fields[2], ","), "fail") {
			return true
		}
	}
	return false
}

func unique(lines []string) []string {
	slices.Sort(lines)
	return slices.Compact(lines)
}

// facts reads INFO: it needs no right to read the configuration.
func (c *Client) facts(ctx context.Context, node rueidis.Client) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	text, err := node.Do(ctx, node.B().Info().Build()).ToString()
	if err != nil {
		return nil, err
	}
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	return facts, nil
}

// inspection gathers what is wrong.
type inspection struct {
	client   *Client
	bereft   bool // a node of the cluster is dead: who took over has no replica
	faults   []string
	alones   int // of faults: masters without a replica
	warnings []string
}

// fault refuses unless the name was accepted.
func (i *inspection) fault(name, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if slices.Contains(i.client.options.Accept, name) {
		i.warnings = append(i.warnings, text+" (accepted: "+name+")")
		return
	}
	if name != "" {
		text += ", or start with --accept-" + name
	}
	i.faults = append(i.faults, text)
}

// forbidden reports whether INFO is not allowed to this user.
func (i *inspection) forbidden(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	if !ok || !strings.HasPrefix(answer.Error(), "NOPERM") {
		return false
	}
	i.fault(acceptUnchecked, "this user may not run INFO, so eviction, the append-only file and replicas cannot be checked: allow +info")
	return true
}

func (i *inspection) node(address string, facts map[string]string, cluster bool) {
	if facts["role"] != "master" {
		i.fault("", "%s is a replica: name its master", address)
	}
	if policy := facts["maxmemory_policy"]; policy != "noeviction" {
		i.fault(acceptEviction, "%s throws keys away when memory is short (maxmemory-policy %s): set maxmemory-policy noeviction", address, policy)
	}
	if facts["aof_enabled"] != "1" {
		i.fault(acceptNoAOF, "%s keeps no append-only file, so a restart loses the stock: set appendonly yes", address)
	}
	if facts["connected_slaves"] == "0" {
		i.alone(address, cluster)
	}
	i.version(address, facts["redis_version"])
}

// alone notes a master without a replica. In a cluster that is a fault, for its
// slots are gone while it is away; of a small shop's only server it is worth a
// warning.
func (i *inspection) alone(address string, cluster bool) {
	if cluster && i.bereft { // nodes must come back while the cluster heals
		i.warnings = append(i.warnings, address+" has no replica while a node of the cluster is dead: bring that back")
		return
	}
	if cluster {
		before := len(i.faults)
		i.fault(acceptNoReplica, "%s has no replica, so its buckets are gone for as long as it is: add one", address)
		i.alones += len(i.faults) - before // none where it was accepted
		return
	}
	i.warnings = append(i.warnings, address+" has no replica: while it is away nothing is sold")
}

// coverage warns of a cluster that stops whole when a part of it is away,
// where we may look.
func (i *inspection) coverage(ctx context.Context) {
	const name = "cluster-require-full-coverage"
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	b := i.client.conn.B()
	settings, err := i.client.conn.Do(ctx, b.ConfigGet().Parameter(name).Build()).AsStrMap()
	if err == nil && settings[name] == "yes" {
		i.warnings = append(i.warnings, "the death of one master stops every sale until it is replaced: set "+name+" no")
	}
}

// majorMin is the first Redis whose scripts have flags and whose streams can be
// relied on.
const majorMin = 7

// version warns of releases with known holes in the script engine
// (CVE-2025-49844, -46817, -46818). A distribution may have mended them.
func (i *inspection) version(address, text string) {
	major, minor, patch := parseVersion(text)
	if major < majorMin {
		i.fault("", "%s is Redis %s: take 7.0 or newer", address, text)
		return
	}
	safe := map[int]int{72: 11, 74: 6, 80: 4, 82: 2} // first safe patch by release
	first, known := safe[10*major+minor]
	if (known && patch < first) || 10*major+minor < 72 {
		i.warnings = append(i.warnings, fmt.Sprintf(
			"%s is Redis %s, whose script engine has known holes unless your distribution mended them: take 7.2.11, 7.4.6, 8.0.4, 8.2.2 or newer, and let nobody but Doorbuster run scripts",
			address, text))
	}
}

func parseVersion(text string) (major, minor, patch int) {
	parts := strings.SplitN(text, ".", 3)
	var numbers [3]int
	for i := range parts {
		numbers[i], _ = strconv.Atoi(parts[i]) // what is no number counts as 0: old
	}
	return numbers[0], numbers[1], numbers[2]
}
