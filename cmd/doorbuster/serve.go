package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/node"
	"github.com/doorbuster/doorbuster/internal/shop"
)

type serveCommand struct {
	Sale []string `placeholder:"FILE" sep:"none" help:"Also publish the sale in this file, YAML or JSON; may be repeated. Publishing the same file again changes nothing."`
	config.Flags
}

// Help is what --help says beyond the flags.
func (serveCommand) Help() string {
	return `With no configuration at all the node keeps its ledger and its secrets in ./doorbuster-data, lets buyers in at 127.0.0.1:8080 and operators at 127.0.0.1:8081. Started again, it continues where it was; it may be killed at any moment.

    doorbuster serve
    doorbuster serve --sale drop.yaml
    doorbuster serve --listen :8080 --hosts shop.example --trusted-proxies 10.0.0.0/8
    DOORBUSTER_BUYER_KEY_FILE=/run/secrets/buyer-key doorbuster serve --data /var/lib/doorbuster

Each setting is a flag, an environment variable, a key of the --config file, or its default; the first of these counts. Secrets come from the environment or from a file alone: DOORBUSTER_BUYER_KEY, DOORBUSTER_ADMIN_TOKEN, DOORBUSTER_ROOT_KEY and DOORBUSTER_PAYMENTS_KEY, or each with _FILE behind it. A node that stands alone makes what is not set; with --redis-url all nodes need the same ones.

Ctrl-C or SIGTERM finishes what is in flight; a second one ends at once.`
}

// Run serves until ctx ends.
func (c serveCommand) Run(ctx context.Context, p program) error {
	settings, err := config.Read(c.Flags, p.getenv)
	faults, _ := errors.AsType[shop.Faults](err)
	sales, more := readSales(c.Sale)
	if faults = append(faults, more...); len(faults) > 0 {
		return misused(faults)
	}
	log := newLog(settings, p.stderr)
	for _, stray := range p.strays() {
		log.Warn(stray)
	}
	n, err := node.New(ctx, node.Options{
		Config: settings, Sales: sales, Log: log, Stdout: p.stdout, Version: versionText(),
	})
	if err != nil {
		return startError(err)
	}
	return n.Run(ctx)
}

// startError tells a sale that breaks a promise, which is a wrong file, from
// what failed.
func startError(err error) error {
	broken, ok := errors.AsType[*ledger.Broken](err)
	if !ok {
		return err
	}
	faults := shop.Faults{{Wrong: err.Error()}}
	if len(broken.Reasons) > 1 {
		for _, reason := range broken.Reasons[1:] {
			faults = append(faults, shop.Fault{Field: "also", Wrong: reason})
		}
	}
	return misused(faults)
}

// readSales reads every file, and tells all their faults at once.
func readSales(files []string) ([]shop.Sale, shop.Faults) {
	var sales []shop.Sale
	var faults shop.Faults
	from := map[string]string{}
	for _, file := range files {
		sale, err := config.ReadSale(file)
		if err != nil {
			more, _ := errors.AsType[shop.Faults](err)
			faults = append(faults, more...)
			continue
		}
		if other, twice := from[sale.ID]; twice {
			faults = append(faults, shop.Fault{Field: file, Wrong: fmt.Sprintf("is the sale %q, as %s is; give one of them", sale.ID, other)})
			continue
		}
		from[sale.ID] = file
		sales = append(sales, sale)
	}
	return sales, faults
}

// newLog writes text for a person at a terminal, and JSON lines for machines.
func newLog(c *config.Config, to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "text" || (c.LogFormat == "auto" && isTerminal(to)) {
		return slog.New(slog.NewTextHandler(to, options))
	}
	return slog.New(slog.NewJSONHandler(to, options))
}

func isTerminal(to io.Writer) bool {
	file, ok := to.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
