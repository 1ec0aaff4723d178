package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// quarter is what nodes share: a database and a Redis.
type quarter struct {
	t     *testing.T
	redis *servers.Redis
	env   map[string]string
	name  string // of the database
	pg    *servers.Postgres

	limitBuyer string // empty: none
}

// shared starts the servers once for all tests of the package; TestMain ends
// them.
var shared struct { //nolint:gochecknoglobals // servers that all tests use
	sync.Once
	pg    *servers.Postgres
	redis *servers.Redis
	dir   string
	count int
	err   error
}

func stopShared() error {
	var faults []error
	if shared.pg != nil {
		faults = append(faults, shared.pg.Stop())
	}
	if shared.redis != nil {
		faults = append(faults, shared.redis.Stop())
	}
	return errors.Join(append(faults, os.RemoveAll(shared.dir))...)
}

func openQuarter(t *testing.T) *quarter {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers; left to make test")
	}
	shared.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "doorbuster-node-"); shared.err != nil { //nolint:usetesting // outlives the test
			return
		}
		folder := func(name string) string {
			dir := shared.dir + "/" + name
			shared.err = errors.Join(shared.err, os.Mkdir(dir, 0o755))
			return dir
		}
		ctx := context.Background()
		if shared.pg, shared.err = servers.StartPostgres(ctx, folder("pg")); shared.err != nil {
			return
		}
		shared.redis, shared.err = servers.StartRedis(ctx, folder("redis"))
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	shared.count++
	q := &quarter{t: t, pg: shared.pg, redis: shared.redis, name: fmt.Sprintf("nodes%d", shared.count)}
	if err := q.pg.CreateDatabase(t.Context(), q.name); err != nil {
		t.Fatal(err)
	}
	q.env = map[string]string{
		"DOORBUSTER_DATABASE_URL": q.pg.URL(q.name), "DOORBUSTER_REDIS_URL": q.redis.URL(),
		"DOORBUSTER_BUYER_KEY": strings.Repeat("b", 32), "DOORBUSTER_ADMIN_TOKEN": strings.Repeat("a", 32),
		"DOORBUSTER_ROOT_KEY": strings.Repeat("r", 32),
	}
	return q
}

// settings of one of the nodes.
func (q *quarter) settings() *config.Config {
	q.t.Helper()
	c, err := config.Read(config.Flags{
		Data: new(q.t.TempDir()), Listen: new("127.0.0.1:0"), AdminListen: new("127.0.0.1:0"), LimitAddress: new("0"), LimitBuyer: new(cmp.Or(q.limitBuyer, "0")),
	}, func(name string) string { return q.env[name] })
	if err != nil {
		q.t.Fatal(err)
	}
	return c
}

// node starts one; change, unless nil, alters it before it runs.
func (q *quarter) node(change func(*Node), sales ...shop.Sale) *house {
	q.t.Helper()
	n, err := New(q.t.Context(), Options{
		Config: q.settings(), Sales: sales, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard, Version: "test",
	})
	if err != nil {
		q.t.Fatal(err)
	}
	if change != nil {
		change(n)
	}
	return run(q.t, n)
}

// ready waits until the node sells.
func (h *house) ready() *house {
	h.t.Helper()
	h.until("it is ready", func() bool {
		status, _ := h.call("GET", h.operators("/readyz"), "", "")
		return status == http.StatusOK
	})
	return h
}

// until polls, for as long as anything here may take.
func (h *house) until(what string, done func() bool) time.Duration {
	h.t.Helper()
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Since(began) > 20*time.Second {
			h.t.Fatalf("not in time: %s", what)
		}
		<-tick.C
	}
	return time.Since(began)
}

// deaf is a line on which nothing is heard.
type deaf struct{}

func (deaf) Send(context.Context, []byte) error { return errors.New("nobody hears") }

func (deaf) Hear(ctx context.Context, _ func([]byte), gap func()) error {
	gap()
	<-ctx.Done()
	return nil
}

func cut(n *Node) { n.gossip.Line = deaf{} }

func TestTwoNodesSellTheSameUnitsOnceEach(t *testing.T) {
	q := openQuarter(t)
	const units, buyers = 60, 200
	doc := sale(units, 100)
	a, b := q.node(nil, doc).ready(), q.node(nil, doc).ready()
	var mu sync.Mutex
	won := map[string]string{}
	var crowd sync.WaitGroup
	for i := range buyers {
		crowd.Go(func() {
			at, buyer := []*house{a, b}[i%2], "buyer-"+strconv.Itoa(i)
			for {
				status, answer := at.order(buyer, "k")
				switch status {
				case http.StatusCreated, http.StatusOK:
					mu.Lock()
					won[buyer] = answer["id"].(string)
					mu.Unlock()
					return
				case http.StatusConflict:
					return
				case http.StatusAccepted:
					t.Errorf("%s waited in vain: the decision did not reach the node", buyer)
					return
				}
			}
		})
	}
	crowd.Wait()
	if len(won) != units {
		t.Fatalf("%d buyers won, want %d", len(won), units)
	}
	for buyer, id := range won { // any node answers for any order, and a repeat is one wherever it is made
		for _, at := range []*house{a, b} {
			status, again := at.order(buyer, "k")
			if status != http.StatusOK || again["id"] != id {
				t.Errorf("%s asks again: %d %v, want 200 with %s", buyer, status, again, id)
			}
		}
	}
	for _, at := range []*house{a, b} {
		if status, report := at.call("GET", at.operators("/admin/api/v1/sales/retro/audit"), at.adminToken(), ""); status != 200 || report["ok"] != true {
			t.Errorf("audit: %d %v", status, report)
		}
	}
}

// state returns the phase and the item's state as pages see them.
func (h *house) state() (phase, item string) {
	h.t.Helper()
	status, answer := h.call("GET", h.buyers("/s/retro/state.json"), "", "")
	if status != http.StatusOK {
		return "", ""
	}
	first := answer["items"].([]any)[0].(map[string]any)
	return answer["phase"].(string), first["state"].(string)
}

func (h *house) move(verb string) {
	h.t.Helper()
	if status, answer := h.call("POST", h.operators("/admin/api/v1/sales/retro/"+verb), h.adminToken(), ""); status != http.StatusOK {
		h.t.Fatalf("%s: %d %v", verb, status, answer)
	}
}

func (h *house) give(id string) {
	h.t.Helper()
	if status, answer := h.call("POST", h.operators("/admin/api/v1/orders/"+id+"/cancel"), h.adminToken(), `{"reason":"test"}`); status != http.StatusOK {
		h.t.Fatalf("cancel: %d %v", status, answer)
	}
}

// TestWordGetsAround: what happens at one node shows at the other within a
// second, also when every message is lost; the rest of the bound is for a slow
// machine.
func TestWordGetsAround(t *testing.T) {
	for name, change := range map[string]func(*Node){"as it is": nil, "every message lost": cut} {
		t.Run(name, func(t *testing.T) {
			q := openQuarter(t)
			doc := sale(1, 100)
			a, b := q.node(change, doc).ready(), q.node(change, doc).ready()
			soon := func(what string, done func() bool) {
				t.Helper()
				if took := b.until(what, done); took > 4*time.Second {
					t.Errorf("%s took %s", what, took)
				} else {
					t.Logf("%s: %s", what, took.Round(time.Millisecond))
				}
			}
			a.move("pause")
			soon("a pause", func() bool { phase, _ := b.state(); return phase == "paused" })
			a.move("resume")
			soon("its end", func() bool { phase, _ := b.state(); return phase == "open" })
			var id string
			soon("a decision", func() bool {
				status, order := a.order("ann", "k")
				id, _ = order["id"].(string)
				return status == http.StatusCreated || status == http.StatusOK
			})
			soon("sold out", func() bool { _, item := b.state(); return item == "sold_out" })
			if status, no := b.order("bob", "k"); status != http.StatusConflict || no["code"] != "sold_out" || no["may_return"] != true {
				t.Errorf("got %d %v, want sold_out", status, no)
			}
			if status, order := b.order("ann", "k"); status != http.StatusOK || order["id"] != id {
				t.Errorf("the winner asks at another node: %d %v, want the order", status, order)
			}
			a.give(id)
			soon("a unit that came back", func() bool { _, item := b.state(); return item != "sold_out" })
			soon("its next buyer", func() bool {
				status, _ := b.order("bob", "k2")
				return status == http.StatusCreated || status == http.StatusOK
			})
		})
	}
}

func TestOneNodeAtATimeLeadsAndAnotherTakesOver(t *testing.T) {
	q := openQuarter(t)
	doc := sale(5, 100)
	a := q.node(nil, doc).ready()
	b := q.node(nil, doc).ready()
	if !a.node.supplies() || b.node.supplies() {
		t.Errorf("the first leads: %v, the second: %v; want the first alone", a.node.supplies(), b.node.supplies())
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	b.until("the second leads", func() bool { return b.node.supplies() && b.node.releases() })
	doc.Items[0].Stock = 6
	if published, err := b.node.publishNow(t.Context(), doc); err != nil {
		t.Fatal(published, err)
	}
	for i := range 6 {
		b.until("a unit", func() bool {
			status, _ := b.order("buyer-"+strconv.Itoa(i), "k")
			return status == http.StatusCreated || status == http.StatusOK
		})
	}
}

func TestARefusalOnceSoldOutTouchesNeitherStore(t *testing.T) {
	q := openQuarter(t)
	q.env["DOORBUSTER_LIMIT_BUYER_SHARED"], q.limitBuyer = "true", "1000:1000"
	a := q.node(nil, sale(1, 100)).ready()
	a.order("ann", "k")
	a.until("it is sold out", func() bool { _, item := a.state(); return item == "sold_out" })
	const refusals = 3000
	commands, transactions := q.commands(), q.transactions()
	for i := range refusals {
		if status, no := a.order("bob-"+strconv.Itoa(i), "k"+strconv.Itoa(i)); status != http.StatusConflict || no["code"] != "sold_out" {
			t.Fatalf("got %d %v", status, no)
		}
	}
	// What goes on beside: a look at the sales each second, pings, reads of the
	// stream.
	if more := q.commands() - commands; more > refusals/10 {
		t.Errorf("%d refusals came with %d Redis commands", refusals, more)
	}
	if more := q.transactions() - transactions; more > refusals/10 {
		t.Errorf("%d refusals came with %d transactions", refusals, more)
	}
}

// commands counts what the Redis has done.
func (q *quarter) commands() int {
	q.t.Helper()
	out, err := q.redis.Do(q.t.Context(), "INFO", "stats")
	if err != nil {
		q.t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(line, "total_commands_processed:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				q.t.Fatal(err)
			}
			return n
		}
	}
	q.t.Fatalf("no count in %s", out)
	return 0
}

// transactions counts what the database has done.
func (q *quarter) transactions() (n int) {
	q.t.Helper()
	conn, err := pgx.Connect(q.t.Context(), q.pg.URL(q.name))
	if err != nil {
		q.t.Fatal(err)
	}
	defer conn.Close(q.t.Context()) //nolint:errcheck // only read
	const count = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
	if err := conn.QueryRow(q.t.Context(), count).Scan(&n); err != nil {
		q.t.Fatal(err)
	}
	return n
}
