package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/fulfil"
	"github.com/doorbuster/doorbuster/internal/postgres"
	"github.com/doorbuster/doorbuster/internal/rabbitmq"
	"github.com/doorbuster/doorbuster/internal/redis"
)

// aloneMax is how long a node with its stock in memory waits for another one
// to leave the database: a restart may be quicker than the end before it.
const aloneMax = 5 * time.Second

// openDistributed keeps the ledger in PostgreSQL, and the stock in Redis where
// there is one.
func (n *Node) openDistributed(ctx context.Context) error {
	c := n.options.Config
	begun := time.Now()
	shared, err := postgres.Open(ctx, postgres.Options{
		URL: c.DatabaseURL, MigrateURL: c.MigrateURL, RootPrint: n.hasher.Print(),
		Ticks: func() time.Duration { return time.Since(begun) }, Log: n.options.Log,
	})
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	n.ledger, n.pause = shared, shared.Pause
	n.closers = append(n.closers, shared.Close)
	n.engines["ledger"] = shared
	n.warnings = append(n.warnings, shared.Warnings)
	if !c.Distributed() {
		n.openMemory()
		return n.standAlone(ctx, shared)
	}
	const alone = "a node with its stock in memory serves this database; stop it, or give it --redis-url too"
	if err := free(ctx, shared.Office("alone"), alone); err != nil {
		return err
	}
	supply, expiry := shared.Office("supply"), shared.Office("expiry")
	supply.Taken = n.missed // its node has looked with other eyes until now
	n.supplyOffice, n.expiryOffice = supply, expiry
	return n.openRedis(ctx, shared)
}

// openRedis keeps the stock in Redis, and its tickets there or in a broker.
func (n *Node) openRedis(ctx context.Context, shared *postgres.Ledger) error {
	c := n.options.Config
	client, err := redis.Open(ctx, redis.Options{
		URL: c.RedisURL, Ledger: shared.ID(), Now: time.Now, Accept: c.Accept, Log: n.options.Log,
	})
	if err != nil {
		return fmt.Errorf("open the stock: %w", err)
	}
	n.closers = append([]func() error{func() error { client.Close(); return nil }}, n.closers...)
	n.warnings = append(n.warnings, client.Warnings)
	shared.SetBuckets(client.Masters())
	tickets := client.Queue(redis.QueueOptions{Name: rand.Text(), Buckets: n.buckets, Redeliver: redeliver})
	n.engines["stream"] = tickets
	n.poisoned = append(n.poisoned, tickets.Poisoned)
	n.stock, n.queue, n.line = client.Stock(), tickets, client.Line()
	if c.LimitShared {
		n.meter = client.Meter(c.LimitBuyer)
	}
	if c.AMQPURL == "" {
		return nil
	}
	broker, err := rabbitmq.Open(ctx, rabbitmq.Options{URL: c.AMQPURL, Name: "doorbuster-" + shared.ID(), Log: n.options.Log})
	if err != nil {
		return fmt.Errorf("open the broker: %w", err)
	}
	n.closers = append([]func() error{broker.Close}, n.closers...)
	n.warnings = append(n.warnings, broker.Warnings)
	n.poisoned = append(n.poisoned, broker.Poisoned)
	n.engines["relay"] = &fulfil.Relay{Queue: tickets, Publisher: broker, Log: n.options.Log}
	n.queue = broker
	return nil
}

// standAlone makes sure that no other node keeps its stock in memory over the
// same database: each would take the grants of the other back.
func (n *Node) standAlone(ctx context.Context, shared *postgres.Ledger) error {
	const others = "nodes with their stock in Redis serve this database; stop them, or give this one --redis-url too"
	if err := free(ctx, shared.Office("supply"), others); err != nil {
		return err
	}
	const another = "another node serves this database with its stock in memory; stop it, or give both --redis-url"
	office := shared.Office("alone")
	if err := free(ctx, office, another); err != nil {
		return err
	}
	n.engines["stands alone"] = office
	return nil
}

// free wants an office that nobody holds, within a while.
func free(ctx context.Context, office *postgres.Office, taken string) error {
	ctx, cancel := context.WithTimeout(ctx, aloneMax)
	defer cancel()
	err := office.Take(ctx)
	if errors.Is(err, postgres.ErrOccupied) {
		return errors.New(taken)
	}
	if err != nil {
		return fmt.Errorf("look for other nodes: %w", err)
	}
	return nil
}
