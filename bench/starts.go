package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	shopkeeper "github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

// starts is E7.
func (b *bench) starts(ctx context.Context) ([]line, error) {
	fresh := line{what: "start to the first page, new folder", goal: atMost(1, "s")}
	for range b.reps {
		n, err := b.startNode(ctx, "", openSale("drop", 8, plenty))
		if err != nil {
			return nil, err
		}
		fresh.value = append(fresh.value, n.took.Seconds())
		if err := n.end(); err != nil {
			return nil, err
		}
	}
	again, err := b.restarts(ctx)
	return []line{fresh, again}, err
}

// restarts kills a node over a ledger with many orders and starts it again.
func (b *bench) restarts(ctx context.Context) (line, error) {
	l := line{what: fmt.Sprintf("restart after kill -9, %s orders in the ledger", count(int64(b.ledger))), goal: atMost(5, "s")}
	folder := filepath.Join(b.dir, "orders")
	begun := time.Now()
	if err := fill(ctx, folder, b.ledger); err != nil {
		return l, err
	}
	l.figure = fmt.Sprintf("to the first page and ready; ledger filled in %s", time.Since(begun).Round(time.Second/10))
	n, err := b.startNode(ctx, folder, openSale("drop", 1, 10*plenty))
	if err != nil {
		return l, err
	}
	for range b.reps {
		if err := n.Stop(syscall.SIGKILL); err != nil {
			return l, err
		}
		if err := n.start(ctx); err != nil {
			return l, err
		}
		l.value = append(l.value, n.took.Seconds())
	}
	return l, n.end()
}

// fill makes a ledger with so many orders, in the batches that a node decides.
func fill(ctx context.Context, folder string, orders int) (err error) {
	books, err := sqlite.Open(ctx, sqlite.Options{Dir: folder, Now: time.Now})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	document := shopkeeper.Sale{
		ID: "old", Title: "Sold before", OpensAt: time.Now().Add(-time.Hour).UTC(), Hold: 24 * time.Hour, LimitPerBuyer: 1,
		Challenge: "never", Early: "normal",
		Items: []shopkeeper.Item{{SKU: "a", Title: "A", Stock: plenty, Price: shopkeeper.Money{Amount: 100, Currency: "EUR"}}},
	}
	if _, err := books.Publish(ctx, document); err != nil {
		return err
	}
	bucket := shopkeeper.Bucket{Sale: document.ID}
	if _, err := books.Bump(ctx, bucket, 0); err != nil {
		return err
	}
	if _, err := books.Grant(ctx, bucket, 1, ledger.Grant{SKU: "a", Quantity: plenty}); err != nil {
		return err
	}
	const batch = 1024
	for done := 0; done < orders; {
		tickets := make([]shopkeeper.Ticket, min(batch, orders-done))
		for i := range tickets {
			done++
			tickets[i] = ticket(bucket, uint64(done))
		}
		if _, err := books.Decide(ctx, tickets); err != nil {
			return err
		}
	}
	return nil
}

// ticket is one of a buyer of its own.
func ticket(bucket shopkeeper.Bucket, n uint64) shopkeeper.Ticket {
	t := shopkeeper.Ticket{
		Bucket: bucket, Epoch: 1, Seq: int64(n), Nonce: scatter(n + 1<<40), KeyPrint: scatter(n + 1<<41),
		Buyer: buyerID(n), SKU: "a", Quantity: 1, At: time.Now().UTC(),
	}
	binary.BigEndian.PutUint64(t.Claim[:], scatter(n+1<<42))
	binary.BigEndian.PutUint64(t.Claim[8:], scatter(n+1<<43))
	return t
}
