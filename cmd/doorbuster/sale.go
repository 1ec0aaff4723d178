package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
)

type saleCommands struct {
	Publish publishCommand `cmd:"" help:"Publish sales, or changes of them."`
	List    listCommand    `cmd:"" help:"List every sale with its phase and figures."`
	Show    showCommand    `cmd:"" help:"Show one sale, item by item."`
	Open    openCommand    `cmd:"" help:"Open a sale before its time."`
	Pause   pauseCommand   `cmd:"" help:"Take no new orders for a while; those there are go on."`
	Resume  resumeCommand  `cmd:"" help:"Take orders again after a pause."`
	Close   closeCommand   `cmd:"" help:"Close a sale for good."`
}

// Help is what --help says beyond the flags.
func (saleCommands) Help() string {
	return `These verbs ask a running node through its operators' address. The token is DOORBUSTER_ADMIN_TOKEN, or the file admin-token in the node's folder.

    doorbuster sale publish drop.yaml
    doorbuster sale show retro-85
    DOORBUSTER_ADMIN_TOKEN=… doorbuster sale pause retro-85 --admin-url http://10.0.0.5:8081`
}

type publishCommand struct {
	File []string `arg:"" placeholder:"FILE" help:"Sale files, YAML or JSON."`
	nodeFlags
}

// Help is what --help says beyond the flags.
func (publishCommand) Help() string {
	return `A file that was published before changes nothing, even if another one was published after it: then the sale is not as the file says, and a warning says so. A change that would break a promise already made is refused, with each reason, and the sale stands as it was.`
}

// Run publishes each file in turn and stops at the first that is refused.
func (c publishCommand) Run(ctx context.Context, p program) error {
	sales, faults := readSales(c.File)
	if len(faults) > 0 {
		return misused(faults)
	}
	node, err := c.client(p)
	if err != nil {
		return err
	}
	for _, sale := range sales {
		said, err := node.ask(ctx, http.MethodPut, salePath(sale.ID), shop.EncodeSale(sale))
		if err != nil {
			return fmt.Errorf("sale %s: %w", sale.ID, err)
		}
		if c.JSON {
			printJSON(p, said.body)
			continue
		}
		var shown admin.Sale
		if err := json.Unmarshal(said.body, &shown); err != nil {
			return err
		}
		p.print(p.stdout, "%s: %s, %s\n", sale.ID, cmp.Or(shown.Publication, "published"), shown.Phase) // older nodes do not say what they did
		for _, warning := range shown.Warnings {
			p.print(p.stderr, "doorbuster: %s: %s\n", sale.ID, warning)
		}
	}
	return nil
}

type listCommand struct{ nodeFlags }

// Run prints a line per sale.
func (c listCommand) Run(ctx context.Context, p program) error {
	var list admin.Listing
	if done, err := c.get(ctx, p, "/sales", &list); done || err != nil {
		return err
	}
	if len(list.Sales) == 0 {
		p.print(p.stdout, "no sales; publish one with: doorbuster sale publish FILE\n")
		return nil
	}
	return table(p.stdout, func(row func(cells ...any)) {
		row("SALE", "PHASE", "OPENS", "CLOSES", "TOTAL", "FREE", "HELD", "SOLD", "TITLE")
		for _, sale := range list.Sales {
			f := sale.Figures
			row(sale.ID, sale.Phase, local(sale.OpensAt), local(sale.ClosesAt), f.Total, f.Pool+f.Granted, f.Held, f.Sold, sale.Title)
		}
	})
}

type showCommand struct {
	ID string `arg:"" help:"The sale's id."`
	nodeFlags
}

// Run prints a sale and a line per item.
func (c showCommand) Run(ctx context.Context, p program) error {
	var sale admin.Sale
	if done, err := c.get(ctx, p, salePath(c.ID), &sale); done || err != nil {
		return err
	}
	return show(p.stdout, sale)
}

func show(to io.Writer, sale admin.Sale) error {
	err := table(to, func(row func(cells ...any)) {
		row("sale", sale.ID+": "+sale.Title)
		row("phase", sale.Phase)
		row("opens", local(sale.OpensAt))
		row("closes", local(sale.ClosesAt))
		row("hold", sale.Hold)
		row("limit", strconv.FormatInt(sale.LimitPerBuyer, 10)+" a buyer")
	})
	if err != nil {
		return err
	}
	return table(to, func(row func(cells ...any)) {
		row("")
		row("SKU", "PRICE", "TOTAL", "FREE", "HELD", "SOLD", "WITHDRAWN", "TITLE")
		for _, item := range sale.Items {
			row(item.SKU, page.PlainMoney(shop.Money(item.Price)), item.Total, item.Pool+item.Granted, item.Held, item.Sold, item.Withdrawn, item.Title)
		}
	})
}

// movement is what the four verbs share.
type movement struct {
	ID string `arg:"" help:"The sale's id."`
	nodeFlags
}

func (m movement) move(ctx context.Context, p program, verb shop.Verb) error {
	node, err := m.client(p)
	if err != nil {
		return err
	}
	said, err := node.ask(ctx, http.MethodPost, salePath(m.ID)+"/"+string(verb), nil)
	if err != nil {
		return err
	}
	if m.JSON {
		printJSON(p, said.body)
		return nil
	}
	var sale admin.Sale
	if err := json.Unmarshal(said.body, &sale); err != nil {
		return err
	}
	p.print(p.stdout, "%s: %s\n", sale.ID, sale.Phase)
	return nil
}

type openCommand struct{ movement }

// Run opens the sale.
func (c openCommand) Run(ctx context.Context, p program) error { return c.move(ctx, p, shop.VerbOpen) }

type pauseCommand struct{ movement }

// Run pauses the sale.
func (c pauseCommand) Run(ctx context.Context, p program) error {
	return c.move(ctx, p, shop.VerbPause)
}

type resumeCommand struct{ movement }

// Run ends the pause.
func (c resumeCommand) Run(ctx context.Context, p program) error {
	return c.move(ctx, p, shop.VerbResume)
}

type closeCommand struct{ movement }

// Run closes the sale.
func (c closeCommand) Run(ctx context.Context, p program) error {
	return c.move(ctx, p, shop.VerbClose)
}

// get asks for one document. It reports true where it was printed as JSON
// already.
func (f nodeFlags) get(ctx context.Context, p program, path string, into any) (bool, error) {
	node, err := f.client(p)
	if err != nil {
		return false, err
	}
	said, err := node.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return false, err
	}
	if f.JSON {
		printJSON(p, said.body)
		return true, nil
	}
	if err := json.Unmarshal(said.body, into); err != nil {
		return false, fmt.Errorf("read the node's answer: %w", err)
	}
	return false, nil
}

func salePath(id string) string { return "/sales/" + url.PathEscape(id) }

func printJSON(p program, body []byte) {
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		out.Write(body)
	}
	p.print(p.stdout, "%s\n", bytes.TrimSpace(out.Bytes()))
}

func table(to io.Writer, fill func(row func(cells ...any))) error {
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0) // keeps its first error for Flush
	fill(func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				_, _ = fmt.Fprint(out, "\t")
			}
			_, _ = fmt.Fprint(out, cell)
		}
		_, _ = fmt.Fprintln(out)
	})
	return out.Flush()
}

// local shows a time as the operator's clock does.
func local(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "by hand"
	}
	return at.Local().Format("2006-01-02 15:04:05 -07:00")
}
