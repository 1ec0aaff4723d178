package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
)

type exportCommand struct {
	Sale      string `required:"" placeholder:"ID" help:"The sale whose page is written."`
	Out       string `required:"" placeholder:"DIR" help:"Where to: DIR/s/ID/index.html and DIR/assets/."`
	APIOrigin string `placeholder:"URL" help:"Where the page finds API and state, such as https://drop.shop.example. Default: where it is served from."`
	ledgerFlags
}

// Help is what --help says beyond the flags.
func (exportCommand) Help() string {
	return `Reads the sale from the ledger, also while nodes run. A page on another origin than the API also needs that origin in the node's --page-origins.

    doorbuster export --sale retro-85 --out public
    doorbuster export --sale retro-85 --out public --api-origin https://drop.shop.example`
}

// Run writes the files.
func (c exportCommand) Run(ctx context.Context, p program) error {
	if err := page.CheckOrigin(c.APIOrigin); err != nil {
		return misused(err)
	}
	books, where, err := c.books(ctx, p)
	if err != nil {
		return err
	}
	sale, err := publishedSale(ctx, books, c.Sale)
	if err := errors.Join(err, books.Close()); err != nil {
		return err
	}
	if sale == nil {
		return fmt.Errorf("no sale %q in %s; doorbuster sale list names those of a running node", c.Sale, where)
	}
	pages, err := page.New()
	if err != nil {
		return err
	}
	if err := pages.Export(c.Out, *sale, c.APIOrigin); err != nil {
		return err
	}
	p.print(p.stdout, "%s/s/%s/index.html\n", c.Out, sale.ID)
	if c.APIOrigin != "" && sale.PageURL == "" { // another origin does not know the buyer
		p.print(p.stderr, "buyers who have paid return to %s/s/%s, not to this page: set page_url in the sale to where it will lie, and publish\n", c.APIOrigin, sale.ID)
	}
	return nil
}

// publishedSale reads the sale's newest document; nil: there is none.
func publishedSale(ctx context.Context, books ledger.Books, id string) (*shop.Sale, error) {
	var newest *shop.Sale
	err := books.Read(ctx, func(view ledger.View) error {
		for revision, err := range view.Revisions(ctx) {
			if err != nil {
				return err
			}
			if revision.Sale.ID == id {
				newest = &revision.Sale
			}
		}
		return nil
	})
	return newest, err
}
