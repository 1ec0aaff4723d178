package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// tryOpen opens and closes at once.
func tryOpen(t *testing.T, o Options) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Warnings(), nil
}

// wantRefused wants a sentence that names setting, and a yes with a warning
// where the name is accepted.
func wantRefused(t *testing.T, url, setting, name string) {
	t.Helper()
	o := options(url)
	_, err := tryOpen(t, o)
	if !errors.As(err, new(Refused)) || !strings.Contains(err.Error(), setting) {
		t.Errorf("error is %v, want a refusal that says %q", err, setting)
	}
	if name == "" {
		return
	}
	o.Accept = []string{name}
	warnings, err := tryOpen(t, o)
	must(t, err)
	if said := strings.Join(warnings, "\n"); !strings.Contains(said, setting) || !strings.Contains(said, "accepted: "+name) {
		t.Errorf("warnings are %q, want one that says %q and %q", said, setting, name)
	}
}

func TestARedisThatIsSetWrongIsRefusedOrAccepted(t *testing.T) {
	server := ownRedis(t)
	set := func(args ...string) {
		t.Helper()
		_, err := server.Do(t.Context(), args...)
		must(t, err)
	}
	wantRefused(t, strings.Replace(server.URL(), "//", "//nobody:secret@", 1), "user and password", "")
	warnings, err := tryOpen(t, options(server.URL()))
	must(t, err)
	if said := strings.Join(warnings, "\n"); !strings.Contains(said, "no replica") {
		t.Errorf("warnings are %q, want one of the missing replica", said)
	}

	set("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	wantRefused(t, server.URL(), "set maxmemory-policy noeviction", "eviction")
	set("CONFIG", "SET", "maxmemory-policy", "noeviction")

	set("CONFIG", "SET", "appendonly", "no")
	wantRefused(t, server.URL(), "set appendonly yes", "no-aof")
	set("CONFIG", "SET", "appendonly", "yes")

	set("ACL", "SETUSER", "narrow", "on", ">secret", "~doorbuster:*", "&doorbuster:*", "+@all", "-info")
	wantRefused(t, strings.Replace(server.URL(), "//", "//narrow:secret@", 1), "allow +info", "unchecked")

	replica, err := server.StartReplica(t.Context(), t.TempDir())
	must(t, err)
	t.Cleanup(func() { _ = replica.Kill() })
	wantRefused(t, replica.URL(), "name its master", "")
}

func TestAClusterWithoutReplicasIsRefusedOrAccepted(t *testing.T) {
	node := ownRedis(t, "--cluster-enabled", "yes", "--cluster-port", busPort(t))
	_, err := node.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	must(t, err)
	eventually(t, 10*time.Second, func() error {
		text, err := node.Do(t.Context(), "CLUSTER", "INFO")
		if err == nil && !strings.Contains(text, "cluster_state:ok") {
			err = errors.New(text)
		}
		return err
	})
	wantRefused(t, node.URL(), "has no replica", "no-replicas")
}

func TestATryThatTheEndCutShortDoesNotHideTheOneBefore(t *testing.T) {
	silent := fmt.Errorf("read the cluster's map: %w", context.DeadlineExceeded)
	alone := Refused{Why: "a has no replica", passing: true}
	for _, c := range []struct {
		last, before error
		want         string
	}{
		{silent, alone, "redis: a has no replica"},
		{alone, silent, "redis: a has no replica"},
		{silent, nil, "redis: nobody answers: read the cluster's map: context deadline exceeded"},
		{errors.New("connection refused"), alone, "redis: nobody answers: connection refused"},
	} {
		if got := gaveUp(c.last, c.before).Error(); got != c.want {
			t.Errorf("after %v, %v is told as %q, want %q", c.before, c.last, got, c.want)
		}
	}
}

func busPort(t *testing.T) string {
	t.Helper()
	address, err := servers.FreeAddress()
	must(t, err)
	_, port, _ := strings.Cut(address, ":")
	return port
}

func TestOptionsThatMakeNoSenseAreRefusedAtOnce(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"redis://host:port": func(o *Options) { o.URL = "postgres://user:secret@host" },
		"its URL is not":    func(o *Options) { o.URL = "redis://u:secret" }, // a host is missing
		"can be accepted":   func(o *Options) { o.Accept = []string{"everything"} },
		"cannot be":         func(o *Options) { o.Accept = []string{""} },
		"the ledger's name": func(o *Options) { o.Ledger = "a}b" },
		"64 of":             func(o *Options) { o.Ledger = "" },
	} {
		o := options("redis://127.0.0.1:1")
		change(&o)
		_, err := Open(t.Context(), o)
		if !errors.As(err, new(Refused)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error is %v, want a refusal without the password", name, err)
		}
	}
}

func TestAPasswordMayHaveAComma(t *testing.T) {
	o := options("redis://u:sec,ret@a:1,b:2")
	settings, err := o.settings()
	if err != nil || settings.Password != "sec,ret" || strings.Join(settings.InitAddress, " ") != "a:1 b:2" {
		t.Errorf("password %q, hosts %q, %v", settings.Password, settings.InitAddress, err)
	}
	o = options("redis://u:sec,ret") // the host is missing, so this is one
	if _, err := o.settings(); err == nil || strings.Contains(err.Error(), "sec") {
		t.Errorf("a part of the password is shown: %v", err)
	}
}

func TestARedisThatComesLateIsWaitedFor(t *testing.T) {
	server := ownRedis(t)
	must(t, server.Kill())
	opened := make(chan error)
	go func() {
		_, err := tryOpen(t, options(server.URL()))
		opened <- err
	}()
	must(t, server.Start(t.Context()))
	must(t, <-opened)

	must(t, server.Kill())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, options(server.URL())); err == nil {
		t.Error("a dead Redis was opened")
	}
}

func TestReleasesWithKnownHolesAreNamed(t *testing.T) {
	for version, want := range map[string]int{
		"7.0.15": 1, "7.2.10": 1, "7.2.11": 0, "7.4.5": 1, "7.4.6": 0, "8.0.3": 1, "8.0.4": 0, "8.2.1": 1, "8.2.2": 0, "9.0.0": 0,
	} {
		i := inspection{}
		i.version("host", version)
		if len(i.warnings) != want || len(i.faults) != 0 {
			t.Errorf("%s: warnings %q, faults %q; want %d and none", version, i.warnings, i.faults, want)
		}
	}
	i := inspection{client: &Client{}}
	i.version("host", "6.2.20")
	if len(i.faults) != 1 {
		t.Errorf("faults of Redis 6 are %q, want one", i.faults)
	}
}

// TestTheNarrowestUserIsEnough walks the whole way as a user who may do
// nothing else, on every node.
func TestTheNarrowestUserIsEnough(t *testing.T) {
	cluster := oneCluster(t)
	for _, node := range append(cluster.Nodes, oneRedis(t)) {
		args := append([]string{"ACL", "SETUSER", "shop", "reset", "on", ">secret"}, strings.Fields(Rights)...)
		_, err := node.Do(t.Context(), args...)
		must(t, err)
	}
	either(t, func(t *testing.T, url string) {
		o := options(strings.Replace(url, "//", "//shop:secret@", 1))
		c := openAs(t, o)
		c.stock(t, drop(), 1, 10)
		q := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop, Redeliver: 20 * time.Millisecond})
		ticket := c.reserve(t, 1)
		receive(t, q, 1)
		got, _ := receive(t, q, 1) // claimed
		must(t, c.Publisher().Publish(t.Context(), []shop.Ticket{ticket}))
		_, _, err := c.Stock().Ticket(t.Context(), drop(), ticket.Claim)
		must(t, err)
		_, err = c.Stock().Undecided(t.Context(), drop(), 1)
		must(t, err)
		_, err = c.Stock().Reclaim(t.Context(), drop(), 1, stock.Reclaim{Number: 1, SKU: "eu-42", Quantity: 1})
		must(t, err)
		must(t, c.Stock().Settle(t.Context(), drop(), []stock.Settlement{{Ticket: ticket, Verdict: shop.Returned, Live: 0, Mark: 3}}))
		must(t, q.Ack(t.Context(), got))
		c.stock(t, drop(), 2, 10)
		_, err = c.Meter(gate.Rate{PerSecond: 1, Burst: 1}).Take(t.Context(), "ann", time.Now().UnixNano())
		must(t, err)
		e := listenTo(t, c.Line())
		must(t, c.Line().Send(t.Context(), []byte("word")))
		e.want(t, 1, 1)
		if _, err := q.Depth(t.Context()); err != nil {
			t.Errorf("depth: %v", err)
		}
		if err := c.conn.Do(t.Context(), c.conn.B().Get().Key("another's").Build()).Error(); err == nil {
			t.Errorf("the user may read another's key")
		}
	})
}
