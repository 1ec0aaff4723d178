package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
)

// The raid. The small ones show what each defence is good for.
const (
	raidBuyers, raidBots, raidUnits = 10_000, 100, 500
	smallBy                         = 10
	raidMax                         = time.Minute
	// quickMax is within what time bots' orders and those of the quick are
	// compared; everybody else presses later, in raidSlowest at most.
	quickMax    = 200 * time.Millisecond
	raidSlowest = 2 * time.Second
	// reaction and spread are of people who wait for a button: half are quicker
	// than the first, two thirds within a factor of the exponential of the second.
	reaction, spread = 900 * time.Millisecond, 0.35
	pageLooks        = 250 * time.Millisecond // of all pages, through a cache
	// shareMax is how many times as much as the quick bots may win. All of both can
	// win, for there are more than twice as many units, and few others press in the
	// first 400 ms: for it to fail half of the quick must lose. Chance does not do
	// that, nor a machine that stalls for some hundred milliseconds.
	shareMax = 2
)

// raid is a sale with everybody who comes for it, and how the node is set.
type raid struct {
	name         string
	buyers, bots int
	units        int64
	args         []string // of the node
	early        string   // of the sale; empty: its default
	challenge    string   // the same
	all          bool     // every limit is on, and there are units for all who are quick
}

func raids() []raid {
	const buyers, bots, units = raidBuyers / smallBy, raidBots / smallBy, raidUnits / smallBy
	off := func(names ...string) (args []string) {
		for _, name := range names {
			args = append(args, "--limit-"+name, "0")
		}
		return args
	}
	return []raid{
		{name: "people alone", buyers: raidBuyers, units: raidUnits, all: true},
		{name: "people and bots", buyers: raidBuyers, bots: raidBots, units: raidUnits, all: true},
		{name: "a tenth of all that", buyers: buyers, bots: bots, units: units, all: true},
		{name: "… early: strict", buyers: buyers, bots: bots, units: units, all: true, early: "strict"},
		{name: "… challenge: always", buyers: buyers, bots: bots, units: units, all: true, challenge: "always"},
		{name: "… fewer units than bots", buyers: buyers, bots: bots, units: bots / 2},
		{name: "units for every second", buyers: buyers, bots: bots, units: buyers / 2, all: true},
		{name: "… no limit of addresses", buyers: buyers, bots: bots, units: buyers / 2, args: off("address", "network")},
		{name: "… no limit in a sale", buyers: buyers, bots: bots, units: buyers / 2, args: off("sale")},
		{name: "… no limit of buyers", buyers: buyers, bots: bots, units: buyers / 2, args: off("buyer")},
		{name: "… no limit at all", buyers: buyers, bots: bots, units: buyers / 2, args: off("address", "network", "buyer")},
	}
}

// TestBots lets people and bots want the same. Bots hold 1 % of the accounts
// and send 95 % of the requests.
func TestBots(t *testing.T) {
	chosen := seed(t)
	var table strings.Builder
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(columns, "\tpeople won\tof the quick\tbots\tof requests\tpeople wait, p50\tp99\ttold to wait"+
		"\tnot open, gone\tno key\taddress\ttoken\tbuyer\tunsolved\tat the desk\tprocessor\t")
	for _, r := range raids() {
		t.Run(r.name, func(t *testing.T) { _, _ = fmt.Fprintln(columns, r.run(t, chosen)) })
	}
	if err := columns.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("who won, how people fared, and where the requests of all ended:\n%s", &table)
}

// melee is a raid under way.
type melee struct {
	*raid
	*crowd
	gang  *gang
	work  chan struct{} // of the devices that solve challenges; nil: there are none
	shown chan struct{} // closed: the pages show that the sale is open
	when  time.Time     // since when they do
	query string        // of orders of a strict sale: with the key
	more  atomic.Int64  // requests of honest buyers that the history does not have

	mu         sync.Mutex
	waits      waits
	won, quick int // honest buyers; of the quick
}

// run returns the raid's line of the table.
func (r *raid) run(t *testing.T, seed uint64) string {
	n := serve(t, setup{args: r.args})
	m := &melee{
		raid: r, shown: make(chan struct{}),
		crowd: &crowd{
			street: newStreet(t, n, min(crowdConnections, r.buyers)), t: t, op: n.operator(), seed: seed,
			sale: newSale("drop", 1, map[string]int64{"one": r.units}),
		},
	}
	if r.challenge != "" {
		m.work = make(chan struct{}, runtime.NumCPU())
	}
	m.gang = newGang(t, n, m)
	visitors := make([]*visitor, r.buyers)
	for i := range visitors {
		visitors[i] = m.visitor(i)
	}
	m.publish()

	ctx, cancel := context.WithTimeout(t.Context(), raidMax)
	defer cancel()
	before := used(t, n.command.Process.Pid)
	var all, people sync.WaitGroup
	all.Go(func() { m.gang.raid(ctx, seed) })
	all.Go(func() { m.show(ctx) })
	for i, v := range visitors {
		people.Go(func() { m.press(ctx, v, i < m.quickest()) })
	}
	people.Wait()
	close(m.gang.over)
	all.Wait()
	if ctx.Err() != nil {
		t.Errorf("it is not over after %s", raidMax)
	}
	worked := used(t, n.command.Process.Pid) - before
	byBots := m.settled()
	line := m.line(n, byBots, worked)
	for _, s := range []*street{m.street, m.gang.street} {
		s.client.CloseIdleConnections() // a drain waits some seconds for who has connected and said nothing
	}
	n.stop(t)
	n.audited(t)
	return line
}

// publish lets the sale open when everybody is there.
func (m *melee) publish() {
	m.sale.Hold = "1h" // what is held stays out of the way
	m.sale.OpensAt = time.Now().Add(2 * gangEarly).Truncate(time.Millisecond)
	document := m.sale.document()
	document["early"], document["challenge"] = cmp.Or(m.early, "normal"), cmp.Or(m.challenge, "never")
	m.op.must(m.t, http.MethodPut, "/sales/"+m.sale.ID, document, nil, http.StatusCreated)
}

// show looks at the sale for all pages, until it is open.
func (m *melee) show(ctx context.Context) {
	pause := gangLooks // as good as a countdown
	if m.early != "" {
		pause = pageLooks // only the state has the key
	}
	m.query = m.watch(ctx, m.sale.ID, pause)
	m.when = time.Now()
	close(m.shown)
}

// quickest is how many honest buyers press at once: as many as bots have
// accounts.
func (m *melee) quickest() int { return max(len(m.gang.accounts), m.buyers/100) }

// press is an honest buyer's press of the button, to its answer.
func (m *melee) press(ctx context.Context, v *visitor, quick bool) {
	due := time.Duration(v.rng.Int64N(int64(quickMax)))
	for !quick && (due < quickMax || due > raidSlowest) {
		due = time.Duration(float64(reaction) * math.Exp(spread*v.rng.NormFloat64()))
	}
	<-m.shown
	pressed, won := m.when.Add(due), false
	if !rest(ctx, time.Until(pressed)) {
		return
	}
	v.query = m.query
	switch a := m.ask(ctx, v); {
	case a == nil:
		m.t.Errorf("%s has no answer", v.name)
		return
	case a.kind() == decided:
		won = true
	case a.code == "sold_out", a.code == "not_enough", a.kind() == refused:
	default:
		m.t.Errorf("%s hears %s", v.name, a)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waits = append(m.waits, time.Since(pressed))
	if won {
		m.won++
		if quick {
			m.quick++
		}
	}
}

// ask orders until there is an answer, and solves what has to be solved.
func (m *melee) ask(ctx context.Context, v *visitor) *answer {
	w := wish{m.sale.ID, v.key(), "one", 1}
	for {
		a := v.try(ctx, w)
		switch {
		case a == nil, a.code != "challenge_required" && a.code != "missed":
			return a
		case a.code == "missed": // a new key may win
			w.key, v.proof = v.key(), ""
		default:
			m.more.Add(1)
			proof, err := v.prove(ctx, w, m.work)
			if err != nil {
				m.t.Errorf("%s: %v", v.name, err)
				return nil
			}
			v.proof = proof
		}
	}
}

// settled checks who has what, and returns how much bots have.
func (m *melee) settled() (byBots int) {
	t, units := m.t, int64(0)
	orders := m.op.orders(t, m.sale.ID)
	for id, each := range orders {
		if !each.live() {
			continue
		}
		units += each.Quantity
		if strings.HasPrefix(each.Buyer, gangPrefix) {
			byBots++
			delete(orders, id)
		}
	}
	if units != m.units {
		t.Errorf("%d units were sold, want %d", units, m.units)
	}
	if byBots > len(m.gang.accounts) {
		t.Errorf("bots won %d units, their %d accounts may have one each", byBots, len(m.gang.accounts))
	}
	if m.all && byBots > shareMax*m.quick {
		t.Errorf("bots won %d units, and as many buyers who were as quick %d: want %d times as many at most", byBots, m.quick, shareMax)
	}
	for _, fault := range m.history.faults(m.sale, orders) {
		t.Error(fault)
	}
	if honest, sent := m.asked(), m.gang.sent.Load(); m.bots > 0 && sent*100 < 95*(sent+honest) {
		t.Errorf("bots sent %d requests, honest buyers %d: want 95 %% to be bots'", sent, honest)
	}
	if posed := m.gang.posed.Load(); posed > 0 {
		t.Errorf("%d challenges could be solved before the opening", posed)
	}
	m.op.audit(t, m.sale.ID)
	return byBots
}

// asked is how many requests honest buyers have sent so far.
func (m *melee) asked() int64 { return m.history.clock.Load()/2 + m.more.Load() }

// line is what the table says of the raid.
func (m *melee) line(n *node, byBots int, worked time.Duration) string {
	_, metrics := n.health("/metrics")
	count := func(label string) int64 {
		if !strings.Contains(metrics, label) {
			return 0
		}
		return figure(m.t, metrics, label)
	}
	code := func(code string) int64 { return count(`doorbuster_refusals_total{code="` + code + `"} `) }
	gate := func(reason string) int64 { return count(`doorbuster_gate_refusals_total{reason="` + reason + `"} `) }
	told := 0
	m.history.each(func(_ claim, answers []*answer) {
		for _, a := range answers {
			if a.kind() == unknown {
				told++
			}
		}
	})
	honest, sent := m.asked(), m.gang.sent.Load()
	p50, p99 := m.waits.at(50), m.waits.at(99)
	return fmt.Sprintf("%s\t%d\t%d/%d\t%d/%d\t%.1f %%\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t", m.name, m.won, m.quick, m.quickest(),
		byBots, len(m.gang.accounts), 100*float64(sent)/float64(sent+honest), p50, p99, told, code("not_open")+code("sold_out"), code("pass_required"),
		gate("address_limit")+gate("network_limit"), gate("bad_token"), gate("buyer_limit")+gate("sale_limit")+gate("buyer_waiting"), gate("unsolved"),
		count("doorbuster_order_seconds_count "), worked.Round(10*time.Millisecond))
}
