// Command cluster runs a whole shop of three nodes on this machine, to try
// out: Redis Cluster (3 masters, 3 replicas), RabbitMQ, PostgreSQL, the nodes,
// and nginx in front of them. Ctrl-C stops it all; nothing is kept.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"text/template"
	"time"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	nodes   = 3
	masters = 3
	opensIn = 20 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "doorbuster-cluster-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := filepath.Abs("bin/doorbuster")
	if err != nil {
		return err
	}
	token := rand.Text()
	_, _ = fmt.Fprintln(out, "Starting PostgreSQL, Redis Cluster, RabbitMQ, three nodes and nginx: some fifteen seconds …")
	fleet, err := servers.StartFleet(ctx, servers.FleetOptions{
		Dir: dir, Binary: binary, Nodes: nodes, Masters: masters, Broker: true,
		Env: []string{
			"DOORBUSTER_BUYER_KEY=" + rand.Text() + rand.Text(), "DOORBUSTER_ROOT_KEY=" + rand.Text() + rand.Text(),
			"DOORBUSTER_ADMIN_TOKEN=" + token, "DOORBUSTER_PAYMENTS_KEY=" + rand.Text() + rand.Text(),
		},
		Args: []string{"--payments", "sandbox"},
	})
	if err != nil {
		return err
	}
	if err := sell(ctx, out, fleet, shop{dir, binary, token}); err != nil {
		return errors.Join(err, fleet.Stop())
	}
	<-ctx.Done()
	_, _ = fmt.Fprintln(out, "\nStopping …")
	return fleet.Stop()
}

// shop is what a person needs to know of the fleet beside its addresses.
type shop struct{ dir, binary, token string }

// sell publishes the demo's sale and says where to find it.
func sell(ctx context.Context, out io.Writer, fleet *servers.Fleet, s shop) error {
	file, err := demoSale(s.dir, time.Now().Add(opensIn))
	if err != nil {
		return err
	}
	publish := exec.CommandContext(ctx, s.binary, "sale", "publish", file, "--admin-url", "http://"+fleet.Nodes[0].Operators)
	publish.Env = []string{"DOORBUSTER_ADMIN_TOKEN=" + s.token}
	if said, err := publish.CombinedOutput(); err != nil {
		return fmt.Errorf("publish the sale: %w\n%s", err, said)
	}
	return greet(out, fleet, file, s.token)
}

// demoSale writes the example with an opening in a moment and no end, so that
// nobody has to wait and nothing closes.
func demoSale(dir string, opens time.Time) (string, error) {
	text, err := os.ReadFile(filepath.Join("examples", "sneakers.yaml"))
	if err != nil {
		return "", err
	}
	text = regexp.MustCompile(`(?m)^opens_at:.*$`).ReplaceAll(text, []byte("opens_at: "+opens.UTC().Format(time.RFC3339)))
	text = regexp.MustCompile(`(?m)^closes_at:.*\n`).ReplaceAll(text, nil)
	path := filepath.Join(dir, "sneakers.yaml")
	return path, os.WriteFile(path, text, 0o600)
}

const welcome = `
  A shop of {{len .Fleet.Nodes}} nodes: the sale "{{.Sale}}" opens in {{.OpensIn}}

  Buy a shoe     {{.Fleet.Nginx.URL}}/s/{{.Sale}}
                 no account needed: pick a size, press the button, pay at the sandbox cashier
                 nginx sends each buyer to a node of their own; any node answers for any order
{{range $i, $node := .Fleet.Nodes}}
  Node {{inc $i}}         buyers http://{{$node.Buyers}}   operators http://{{$node.Operators}}   pid {{$node.Process.PID}}{{end}}
  PostgreSQL     {{.Fleet.Postgres.URL "doorbuster"}}
  Redis Cluster  {{.Fleet.Redis.URL}}
  RabbitMQ       {{.Fleet.Rabbit.Address}}

  In a second terminal:
    export DOORBUSTER_ADMIN_TOKEN={{.Token}}
    the figures  ./bin/doorbuster sale show {{.Sale}} --admin-url http://{{(index .Fleet.Nodes 0).Operators}}
    the books    ./bin/doorbuster audit --database-url '{{.Fleet.Postgres.URL "doorbuster"}}'
    a payment    as your own cashier would report it:
                 curl -X POST -H "Authorization: Bearer $DOORBUSTER_ADMIN_TOKEN" -H 'Content-Type: application/json' \
                   -d '{"reference": "cash-1"}' http://{{(index .Fleet.Nodes 0).Operators}}/admin/api/v1/orders/ORDER/paid
    a death      kill -9 {{(index .Fleet.Nodes 1).Process.PID}}      (node 2; the others sell on)

  Logs lie in {{.Dir}}. Ctrl-C stops everything and removes it.

`

func greet(out io.Writer, fleet *servers.Fleet, file, token string) error {
	sale, err := config.ReadSale(file)
	if err != nil {
		return err
	}
	page, err := template.New("welcome").Funcs(template.FuncMap{"inc": func(n int) int { return n + 1 }}).Parse(welcome)
	if err != nil {
		return err
	}
	return page.Execute(out, map[string]any{
		"Fleet": fleet, "Sale": sale.ID, "Token": token, "Dir": filepath.Dir(file), "OpensIn": opensIn,
	})
}
