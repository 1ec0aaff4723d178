package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Fleet is a whole shop of several nodes on this machine: PostgreSQL, Redis,
// perhaps RabbitMQ, nodes, and nginx in front of them.
type Fleet struct {
	Postgres *Postgres
	Database *Proxy        // the nodes' link to PostgreSQL; nil: Bare
	Redis    *RedisCluster // nil: Single
	Single   *Redis
	Counter  *Proxy    // the nodes' link to Single; nil: Bare
	Rabbit   *RabbitMQ // nil: no broker
	Broker   *Proxy    // the nodes' link to RabbitMQ; nil: Bare
	Nodes    []*Node
	Nginx    *Nginx // nil: Bare

	options FleetOptions
}

// FleetOptions says what a fleet consists of.
type FleetOptions struct {
	Dir     string // empty
	Binary  string // doorbuster
	Nodes   int
	Masters int      // of a Redis Cluster, each with a replica; 0: one Redis
	Broker  bool     // tickets travel through RabbitMQ
	Bare    bool     // nothing stands between buyers, nodes and stores that would cost a measurement its CPU
	Env     []string // of every node: secrets
	Args    []string // of every node's serve, such as --sale
}

const fleetDatabase = "doorbuster"

// StartFleet starts everything and returns when every node is ready. What it
// has started when it fails is stopped.
func StartFleet(ctx context.Context, options FleetOptions) (_ *Fleet, err error) {
	f := &Fleet{options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Stop())
		}
	}()
	if err := f.startStores(ctx); err != nil {
		return nil, err
	}
	for n := range options.Nodes {
		if err := f.addNode(n); err != nil {
			return nil, err
		}
	}
	for _, n := range f.Nodes {
		if err := n.Ready(ctx); err != nil {
			return nil, err
		}
	}
	if options.Bare {
		return f, nil
	}
	dir, err := f.folder("nginx")
	if err != nil {
		return nil, err
	}
	f.Nginx, err = StartNginx(ctx, dir, Site(f.buyers()...))
	return f, err
}

func (f *Fleet) folder(name string) (string, error) {
	dir := filepath.Join(f.options.Dir, name)
	return dir, os.Mkdir(dir, 0o700)
}

func (f *Fleet) startStores(ctx context.Context) error {
	dir, err := f.folder("postgres")
	if err != nil {
		return err
	}
	if f.Postgres, err = StartPostgres(ctx, dir); err != nil {
		return err
	}
	if err := f.Postgres.CreateDatabase(ctx, fleetDatabase); err != nil {
		return err
	}
	if f.Database, err = f.link(ctx, f.Postgres.Address); err != nil {
		return err
	}
	if err := f.startRedis(ctx); err != nil || !f.options.Broker {
		return err
	}
	if dir, err = f.folder("rabbitmq"); err != nil {
		return err
	}
	if f.Rabbit, err = StartRabbitMQ(ctx, dir); err != nil {
		return err
	}
	f.Broker, err = f.link(ctx, f.Rabbit.Address)
	return err
}

func (f *Fleet) startRedis(ctx context.Context) error {
	dir, err := f.folder("redis")
	switch {
	case err != nil:
	case f.options.Masters == 0:
		if f.Single, err = StartRedis(ctx, dir); err == nil {
			f.Counter, err = f.link(ctx, f.Single.Address)
		}
	case f.options.Bare:
		f.Redis, err = StartRedisCluster(ctx, dir, f.options.Masters, 1)
	default:
		f.Redis, err = StartProxiedRedisCluster(ctx, dir, f.options.Masters, 1)
	}
	return err
}

// link puts a proxy before a store; nil: the fleet is bare.
func (f *Fleet) link(ctx context.Context, address string) (*Proxy, error) {
	if f.options.Bare {
		return nil, nil
	}
	return StartProxy(ctx, address)
}

// addNode prepares and starts one more node.
func (f *Fleet) addNode(number int) error {
	dir, err := f.folder(fmt.Sprintf("node-%d", number+1))
	if err != nil {
		return err
	}
	node, err := NewNode(NodeOptions{Binary: f.options.Binary, Dir: dir, Args: f.options.Args, Env: f.Env()})
	if err != nil {
		return err
	}
	f.Nodes = append(f.Nodes, node)
	return node.Start()
}

// Env is what makes a process one more node of the fleet, or audits it.
func (f *Fleet) Env() []string {
	redis := ""
	if f.Redis != nil {
		redis = f.Redis.URL()
	} else {
		redis = through(f.Counter, f.Single.URL(), f.Single.Address)
	}
	env := append([]string{
		"DOORBUSTER_DATABASE_URL=" + through(f.Database, f.Postgres.URL(fleetDatabase), f.Postgres.Address),
		"DOORBUSTER_REDIS_URL=" + redis,
	}, f.options.Env...)
	if f.Rabbit != nil {
		env = append(env, "DOORBUSTER_AMQP_URL="+through(f.Broker, f.Rabbit.URL(), f.Rabbit.Address))
	}
	return env
}

// through is the URL of a server as it is reached through a proxy, if there is
// one.
func through(proxy *Proxy, url, address string) string {
	if proxy == nil {
		return url
	}
	return strings.Replace(url, address, proxy.Address, 1)
}

func (f *Fleet) buyers() []string {
	var all []string
	for _, n := range f.Nodes {
		all = append(all, n.Buyers)
	}
	return all
}

// Stop ends everything, buyers first. What was not started needs no end.
func (f *Fleet) Stop() error {
	var faults []error
	if f.Nginx != nil {
		faults = append(faults, f.Nginx.Stop())
	}
	for _, n := range f.Nodes {
		faults = append(faults, n.Stop())
	}
	if f.Rabbit != nil {
		faults = append(faults, f.Rabbit.Stop())
	}
	if f.Redis != nil {
		faults = append(faults, f.Redis.Stop(), f.Redis.CloseProxies())
	}
	if f.Single != nil {
		faults = append(faults, f.Single.Stop())
	}
	if f.Postgres != nil {
		faults = append(faults, f.Postgres.Stop())
	}
	for _, p := range []*Proxy{f.Database, f.Counter, f.Broker} {
		if p != nil {
			faults = append(faults, p.Close())
		}
	}
	return errors.Join(faults...)
}
