package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/servers"
)

// Secrets of the nodes under measurement.
const (
	buyerKey   = "a-buyer-key-for-benchmarks-0123456789"
	adminToken = "an-admin-token-for-benchmarks"
)

// node is a running doorbuster as a user would run it: the plain binary, its
// defaults, a listener and a ledger on disk. The load generator is its trusted
// proxy.
type node struct {
	*server
	buyers, operators string // HOST:PORT
	args              []string
	shows             string // the sale whose page is the first
	env               []string
	binary            string
	home, data        string        // for its files, and for its ledger
	took              time.Duration // from exec to the first page and ready
}

// sale is what a benchmark sells.
type sale struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	OpensAt  string `json:"opens_at"`
	Hold     string `json:"hold"`
	PerBuyer int64  `json:"limit_per_buyer"`
	Items    []item `json:"items"`
}

type item struct {
	SKU   string `json:"sku"`
	Title string `json:"title"`
	Stock int64  `json:"stock"`
	Price price  `json:"price"`
}

type price struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// plenty is a stock that no benchmark uses up.
const plenty = 10_000_000

// openSale is a sale of so many SKUs, sku-0 and on, with so many units each.
func openSale(id string, skus int, stock int64) sale {
	s := sale{ID: id, Title: "Benchmark", OpensAt: "2026-01-01T00:00:00Z", Hold: "24h", PerBuyer: 1}
	for i := range skus {
		s.Items = append(s.Items, item{
			SKU: fmt.Sprintf("sku-%d", i), Title: fmt.Sprintf("Size %d", i), Stock: stock,
			Price: price{Amount: 12900, Currency: "EUR"},
		})
	}
	return s
}

// startNode starts a node that sells sales. data is its folder; empty: a new
// one.
func (b *bench) startNode(ctx context.Context, data string, sales ...sale) (*node, error) {
	home, err := os.MkdirTemp(b.dir, "node-")
	if err != nil {
		return nil, err
	}
	if data == "" {
		data = filepath.Join(home, "data")
	}
	n := &node{binary: b.binary, home: home, data: data, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home,
		"DOORBUSTER_BUYER_KEY=" + buyerKey, "DOORBUSTER_ADMIN_TOKEN=" + adminToken,
	}}
	if n.buyers, err = servers.FreeAddress(); err != nil {
		return nil, err
	}
	if n.operators, err = servers.FreeAddress(); err != nil {
		return nil, err
	}
	n.args = []string{
		"serve", "--data", data, "--listen", n.buyers, "--admin-listen", n.operators, "--trusted-proxies", "127.0.0.1/32",
	}
	for i := range sales {
		file := filepath.Join(home, fmt.Sprintf("sale-%d.json", i))
		text, err := json.Marshal(sales[i])
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
		n.args = append(n.args, "--sale", file)
	}
	n.shows = sales[0].ID
	return n, n.start(ctx)
}

// start starts the process and waits until it shows a page and is ready.
func (n *node) start(ctx context.Context) (err error) {
	begun := time.Now()
	if n.server, err = startServer(filepath.Join(n.home, "log"), n.env, n.binary, n.args...); err != nil {
		return err
	}
	err = n.Until(ctx, func() error {
		if _, err := n.fetch(ctx, n.operators, "/readyz"); err != nil {
			return err
		}
		_, err := n.fetch(ctx, n.buyers, "/s/"+n.shows)
		return err
	})
	n.took = time.Since(begun)
	return err
}

const (
	// calmBelow is what a node at rest uses of a second, and calmMax how long it may
	// take until it rests.
	calmBelow, calmMax = 50 * time.Millisecond, 10 * time.Minute
)

// calm waits until the node rests: one that has started over many orders goes
// through all of them once more, to audit them.
func (n *node) calm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, calmMax)
	defer cancel()
	for {
		before, err := n.cpu()
		if err != nil {
			return err
		}
		if err := rest(ctx, time.Second); err != nil {
			return fmt.Errorf("the node does not rest: %w", err)
		}
		after, err := n.cpu()
		if err != nil || after-before < calmBelow {
			return err
		}
	}
}

// end stops the node in good order.
func (n *node) end() error { return n.Stop(syscall.SIGTERM) }

// fetch gets a path of one of the node's listeners; only a 200 is no error.
func (n *node) fetch(ctx context.Context, address, path string) ([]byte, error) {
	return fetchAs(ctx, address, path, "*/*")
}

// fetchAs gets a path of any node in one of the forms that it comes in.
func fetchAs(ctx context.Context, address, path, accept string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Accept", accept)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, response.StatusCode, body)
	}
	return body, err
}

// metric returns the value of a metric without labels.
func (n *node) metric(ctx context.Context, name string) (float64, error) {
	text, err := n.fetch(ctx, n.operators, "/metrics")
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("the node has no metric %s", name)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// build builds the program as make build does, from the tree as it is.
func build(ctx context.Context, to string) error {
	_, err := servers.Output(ctx, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to,
		"github.com/doorbuster/doorbuster/cmd/doorbuster")
	return err
}

func newSigner() (*gate.Signer, error) { return gate.NewSigner(gate.NewSecret([]byte(buyerKey))) }

func first(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}
