package redis

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// town is the servers that the tests of this package share. Each test has a
// ledger's name of its own, and so its own keys.
//
//nolint:gochecknoglobals // TestMain has no other way to end what tests start
var town struct {
	folder  string
	ledgers atomic.Int64

	mu      sync.Mutex
	single  *servers.Redis
	cluster *servers.RedisCluster
}

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "doorbuster-redis-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	town.folder = folder
	code := m.Run()
	if town.single != nil {
		_ = town.single.Kill()
	}
	if town.cluster != nil {
		_ = town.cluster.Kill()
	}
	_ = os.RemoveAll(folder)
	if code == 0 {
		// The cluster's client closes what it put away some seconds later, and
		// may be about to read the cluster's map once more.
		if err := goleak.Find(
			goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
			goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient).redirectOrNew.func1"),
			goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
		); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// oneRedis returns the server that tests share which hurt nobody.
func oneRedis(tb testing.TB) *servers.Redis {
	tb.Helper()
	town.mu.Lock()
	defer town.mu.Unlock()
	if town.single == nil {
		var err error
		town.single, err = servers.StartRedis(context.Background(), newFolder(tb, "single"))
		must(tb, err)
	}
	return town.single
}

// oneCluster returns three masters with a replica each.
func oneCluster(tb testing.TB) *servers.RedisCluster {
	tb.Helper()
	town.mu.Lock()
	defer town.mu.Unlock()
	if town.cluster == nil {
		var err error
		town.cluster, err = servers.StartRedisCluster(context.Background(), newFolder(tb, "cluster"), 3, 1)
		must(tb, err)
	}
	return town.cluster
}

func newFolder(tb testing.TB, name string) string {
	tb.Helper()
	folder := filepath.Join(town.folder, name)
	must(tb, os.Mkdir(folder, 0o700))
	return folder
}

// ownRedis starts a server that the test may hurt.
func ownRedis(tb testing.TB, args ...string) *servers.Redis {
	tb.Helper()
	server, err := servers.StartRedis(tb.Context(), tb.TempDir(), args...)
	must(tb, err)
	tb.Cleanup(func() { _ = server.Kill() })
	return server
}

// either runs a test on a Redis and on a cluster.
func either(t *testing.T, run func(t *testing.T, url string)) {
	t.Run("Redis", func(t *testing.T) { run(t, oneRedis(t).URL()) })
	t.Run("Redis Cluster", func(t *testing.T) { run(t, oneCluster(t).URL()) })
}

func options(url string) Options {
	return Options{
		URL: url, Ledger: fmt.Sprint("ledger-", town.ledgers.Add(1)),
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
}

// open connects with a ledger of its own, until the test ends.
func open(tb testing.TB, url string) *Client {
	tb.Helper()
	return openAs(tb, options(url))
}

func openAs(tb testing.TB, o Options) *Client {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	c, err := Open(ctx, o)
	must(tb, err)
	tb.Cleanup(c.Close)
	return c
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// forget drops all that Redis holds of a bucket.
func (c *Client) forget(tb testing.TB, bucket shop.Bucket) {
	tb.Helper()
	k := c.shelf(bucket).keys
	del := c.conn.B().Del().Key(k.state, k.tickets, k.buyers, k.stream, k.depth).Build()
	must(tb, c.conn.Do(context.Background(), del).Error())
}
