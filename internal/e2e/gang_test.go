package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/gate/altchatest"
)

const (
	// gangEarly and gangLate are how long before and after the opening bots spread
	// what they send: most of it while people press.
	gangEarly  = time.Second
	gangLate   = 2 * time.Second
	gangBatch  = 8                     // requests that a bot writes at once
	gangLooks  = 10 * time.Millisecond // between two looks for the opening key
	gangPrefix = "bot-"                // of the names of their accounts
	gangTimes  = 19                    // requests for each of an honest buyer: 95 % of all
)

// gang are bots, each with a connection, a rented network and an account; what one
// has, all have.
type gang struct {
	*street
	m        *melee
	accounts []*shopper
	spoiled  string                   // a token of an honest buyer with another signature
	proofs   []atomic.Pointer[string] // what each bot has solved
	query    atomic.Pointer[string]   // with the opening key

	over  chan struct{} // closed: the honest buyers have gone
	sent  atomic.Int64
	posed atomic.Int64 // challenges given to bots before the opening
}

// newGang hires bots that hold as many accounts, and one in a hundred between
// them: 1 % of all.
func newGang(t *testing.T, n *node, m *melee) *gang {
	t.Helper()
	g := &gang{
		street: newStreet(t, n, max(m.bots, 1)), m: m,
		proofs: make([]atomic.Pointer[string], m.bots), over: make(chan struct{}),
	}
	for i := range m.bots + m.bots/100 {
		g.accounts = append(g.accounts, g.shopper(t, fmt.Sprintf("%s%d", gangPrefix, i)))
	}
	foreign, err := gate.NewSigner(gate.NewSecret([]byte(strings.Repeat("x", len(buyerKey)))))
	if err != nil {
		t.Fatal(err)
	}
	if g.spoiled, err = foreign.Sign(gate.Identity{Buyer: "buyer-00001"}, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	g.spoiled = "Bearer " + g.spoiled
	return g
}

// raid lets every bot do all it can until the honest buyers are gone and the
// gang has sent its part of all requests.
func (g *gang) raid(ctx context.Context, seed uint64) {
	var bots sync.WaitGroup
	if g.m.early != "" && g.m.bots > 0 {
		bots.Go(func() {
			query := g.watch(ctx, g.m.sale.ID, gangLooks)
			g.query.Store(&query)
		})
	}
	for i := range g.m.bots {
		bots.Go(func() { g.press(ctx, i, rand.New(rand.NewPCG(seed^0xb07, uint64(i)))) })
		if g.m.challenge != "" {
			bots.Go(func() { g.solve(ctx, i) })
		}
	}
	bots.Wait()
}

// enough reports whether bots may go home.
func (g *gang) enough() bool {
	select {
	case <-g.over:
		return g.sent.Load() >= gangTimes*g.m.asked()
	default:
		return false
	}
}

// press sends batch after batch over one connection, or its successors.
func (g *gang) press(ctx context.Context, number int, rng *rand.Rand) {
	var conn net.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	var answers *bufio.Reader
	var batch []byte
	begin := g.m.sale.OpensAt.Add(-gangEarly)
	pause := (gangEarly + gangLate) * time.Duration(g.m.bots*gangBatch) / time.Duration(gangTimes*g.m.buyers)
	for turn := 0; !g.enough(); turn++ {
		if wait := time.Until(begin.Add(pause * time.Duration(turn))); wait > 0 && !rest(ctx, wait) || ctx.Err() != nil {
			return
		}
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", strings.TrimPrefix(g.base, "http://")); err != nil {
				continue
			}
			answers = bufio.NewReaderSize(conn, 16<<10)
		}
		batch = batch[:0]
		for i := range gangBatch {
			batch = g.order(batch, number, turn*gangBatch+i, rng)
		}
		if !g.exchange(conn, answers, batch) {
			_ = conn.Close()
			conn = nil
		}
	}
}

// exchange writes a batch and reads its answers.
func (g *gang) exchange(conn net.Conn, answers *bufio.Reader, batch []byte) (open bool) {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(batch); err != nil {
		return false
	}
	for range gangBatch {
		_, open, err := readAnswer(answers, false)
		if err != nil {
			return false
		}
		g.sent.Add(1)
		if !open {
			return false
		}
	}
	return true
}

// order appends an order: under a new key with the bot's own account, from
// wherever it may pretend to be; or as somebody else of the gang, who is
// somewhere else; or under the first key again; or with a token that is none.
func (g *gang) order(to []byte, number, turn int, rng *rand.Rand) []byte {
	bearer, key := g.accounts[number].bearer, fmt.Sprintf("bot-%d-%d", number, turn)
	switch dice := rng.IntN(10); {
	case dice == 0:
		bearer = g.spoiled
	case dice == 1:
		key = fmt.Sprintf("bot-%d-0", number)
	case dice <= 3:
		bearer = g.accounts[rng.IntN(len(g.accounts))].bearer
	}
	query, proof := "", ""
	if known := g.query.Load(); known != nil {
		query = *known
	}
	if solved := g.proofs[number].Load(); solved != nil { // of another key
		proof = "Doorbuster-Challenge: " + *solved + "\r\n"
	} else if g.m.work != nil { // its limits are for the order that it solves for
		bearer = g.spoiled
	}
	const body = `{"sku":"one","quantity":1}`
	return fmt.Appendf(to, "POST /api/v1/sales/%s/orders%s HTTP/1.1\r\nHost: shop\r\nAuthorization: %s\r\nX-Forwarded-For: %s\r\n"+
		"Idempotency-Key: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
		g.m.sale.ID, query, bearer, rented(number, rng), key, proof, len(body), body)
}

// rented is one of a bot's addresses: of a /24, of the 65,536 lines of a /48, or
// of the 2^64 of one line.
func rented(number int, rng *rand.Rand) string {
	switch rng.IntN(4) {
	case 0:
		return fmt.Sprintf("198.18.%d.%d", number, rng.IntN(1<<8))
	case 1:
		return fmt.Sprintf("2001:db8:%x:%x::1", 0xb000+number, rng.IntN(1<<16))
	default:
		return fmt.Sprintf("2001:db8:%x:1:%x:%x::1", 0xb000+number, rng.IntN(1<<16), rng.IntN(1<<16))
	}
}

// solve tries to solve a challenge before the opening, and does so once the
// sale is open.
func (g *gang) solve(ctx context.Context, number int) {
	who := *g.accounts[number]
	w := wish{g.m.sale.ID, "solved", "one", 1}
	for time.Until(g.m.sale.OpensAt) > 2*gangLooks && rest(ctx, gangEarly/10) {
		if challenge, err := who.challenge(ctx, w); err == nil && challenge != nil && time.Now().Before(g.m.sale.OpensAt) {
			g.posed.Add(1)
		}
		g.sent.Add(1)
	}
	for ctx.Err() == nil {
		a := who.buy(ctx, w)
		g.sent.Add(1)
		switch {
		case a.kind() == unknown, a.kind() == pending, a.code == "not_open":
			rest(ctx, max(a.wait, 5*gangLooks))
			continue
		case a.code != "challenge_required":
			return
		}
		if proof, err := who.prove(ctx, w, g.m.work); err == nil && proof != "" {
			who.proof = proof
			g.proofs[number].Store(&proof)
		}
		g.sent.Add(1)
	}
}

// challenge asks for what an order has to solve; nil: there is nothing.
func (s *shopper) challenge(ctx context.Context, w wish) ([]byte, error) {
	got, err := s.send(ctx, http.MethodGet, "/api/v1/sales/"+w.sale+"/challenge"+s.query, nil, w.key)
	if err != nil || got.status != http.StatusOK {
		return nil, err
	}
	return got.body, nil
}

// prove solves the challenge of an order, when the processor is free: the
// devices of all buyers are this machine. Empty: it got none.
func (s *shopper) prove(ctx context.Context, w wish, work chan struct{}) (string, error) {
	work <- struct{}{}
	defer func() { <-work }()
	challenge, err := s.challenge(ctx, w)
	if err != nil || challenge == nil {
		return "", err
	}
	return altchatest.Solve(challenge)
}

// watch looks at the state of a sale until it is open, and returns the query
// of an order: the opening key of a strict one. It is empty, too, where ctx has
// ended.
func (s *street) watch(ctx context.Context, sale string, pause time.Duration) string {
	for rest(ctx, pause) {
		var state struct {
			Phase string `json:"phase"`
			Key   string `json:"opening_key"`
		}
		_, body := fetch(ctx, s.base+"/s/"+sale+"/state.json")
		if err := json.Unmarshal([]byte(body), &state); err != nil || state.Phase != "open" {
			continue
		}
		if state.Key != "" {
			return "?opening=" + state.Key
		}
		return ""
	}
	return ""
}
