package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

type exportCommand struct {
	Sale      string `required:"" placeholder:"ID" help:"The sale whose page is written."`
	Out       string `required:"" placeholder:"DIR" help:"Where to: DIR/s/ID/index.html and DIR/assets/."`
	APIOrigin string `placeholder:"URL" help:"Where the page finds API and state, such as https://drop.shop.example. Default: where it is served from."`
	place
}

// Help is what --help says beyond the flags.
func (exportCommand) Help() string {
	return `Reads the sale from the ledger in --data, also while the node runs. A page on another origin than the API also needs that origin in the node's --page-origins.

    doorbuster export --sale retro-85 --out public
    doorbuster export --sale retro-85 --out public --api-origin https://drop.shop.example`
}

// Run writes the files.
func (c exportCommand) Run(ctx context.Context, p program) error {
	if err := page.CheckOrigin(c.APIOrigin); err != nil {
		return misused(err)
	}
	data, err := c.folder(p)
	if err != nil {
		return err
	}
	sale, err := publishedSale(ctx, data, c.Sale)
	if err != nil {
		return err
	}
	pages, err := page.New()
	if err != nil {
		return err
	}
	if err := pages.Export(c.Out, sale, c.APIOrigin); err != nil {
		return err
	}
	p.print(p.stdout, "%s/s/%s/index.html\n", c.Out, sale.ID)
	return nil
}

// publishedSale reads the sale's newest document from the ledger.
func publishedSale(ctx context.Context, data, id string) (shop.Sale, error) {
	books, err := sqlite.OpenReadOnly(ctx, data)
	if err != nil {
		return shop.Sale{}, err
	}
	var newest *shop.Sale
	err = books.Read(ctx, func(view ledger.View) error {
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
	if err := errors.Join(err, books.Close()); err != nil {
		return shop.Sale{}, err
	}
	if newest == nil {
		return shop.Sale{}, fmt.Errorf("no sale %q in %s; doorbuster sale list names those of a running node", id, data)
	}
	return *newest, nil
}
