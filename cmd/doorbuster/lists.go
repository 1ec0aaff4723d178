package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/shop"
)

type listsCommands struct {
	Block  blockCommand     `cmd:"" help:"Turn an address, a prefix or a buyer away."`
	Allow  allowCommand     `cmd:"" help:"Let an address, a prefix or a buyer past the limits."`
	Remove removeCommand    `cmd:"" help:"Take an entry out of both lists."`
	Show   showListsCommand `cmd:"" help:"Show both lists."`

	Suspects suspectsCommand `cmd:"" help:"Show whom the nodes suspect, and why."`
}

// Help is what --help says beyond the flags.
func (listsCommands) Help() string {
	return `These verbs ask a running node through its operators' address; every node follows within a second, and nothing is lost at a restart. An entry is an address, a prefix or buyer:ID. Of the prefixes that hold an address, the longest decides; where both lists have it, the block counts.

    doorbuster list block 203.0.113.0/24 --for 2h --reason "scripts"
    doorbuster list allow 198.51.100.7 --reason "a university"
    doorbuster list remove buyer:4711`
}

// enlisting is what block and allow share.
type enlisting struct {
	Entry  string         `arg:"" placeholder:"ENTRY" help:"203.0.113.9, 2001:db8::/48 or buyer:ID."`
	For    *time.Duration `placeholder:"DURATION" help:"How long it counts, such as 2h. Default: until it is removed."`
	Reason string         `placeholder:"TEXT" help:"Why; buyers do not see it."`
	By     string         `placeholder:"NAME" env-too:"USER" help:"Who does it. Default: the one who is logged in."`
	nodeFlags
}

func (e enlisting) enlist(ctx context.Context, p program, list shop.List) error {
	subject, err := subjectOf(e.Entry)
	if err != nil {
		return err
	}
	if e.For != nil && *e.For <= 0 {
		return misused(errors.New("--for: write how long the entry counts, such as 2h; leave it out where it counts for good"))
	}
	by := e.By
	if by == "" {
		by = p.getenv("USER")
	}
	wish := map[string]string{"reason": e.Reason, "by": by}
	if e.For != nil {
		wish["until"] = time.Now().Add(*e.For).UTC().Format(time.RFC3339)
	}
	body, err := json.Marshal(wish)
	if err != nil {
		return err
	}
	node, err := e.client(p)
	if err != nil {
		return err
	}
	said, err := node.ask(ctx, http.MethodPut, entryPath(list, subject), body)
	if err != nil {
		return err
	}
	if e.JSON {
		printJSON(p, said.body)
		return nil
	}
	var entry admin.Entry
	if err := json.Unmarshal(said.body, &entry); err != nil {
		return fmt.Errorf("read the node's answer: %w", err)
	}
	p.print(p.stdout, "%s: %s%s\n", entry.Entry, map[shop.List]string{shop.Block: "blocked", shop.Allow: "allowed"}[list], ending(entry.Until))
	return nil
}

func subjectOf(text string) (shop.Subject, error) {
	subject, err := shop.ParseSubject(text)
	if err != nil {
		return subject, misused(fmt.Errorf("%q: %w", text, err))
	}
	return subject, nil
}

// ending says until when an entry counts, where that is known.
func ending(until string) string {
	if until == "" {
		return ""
	}
	return " until " + local(until)
}

type blockCommand struct{ enlisting }

// Run writes an entry of the block list.
func (c blockCommand) Run(ctx context.Context, p program) error {
	return c.enlist(ctx, p, shop.Block)
}

type allowCommand struct{ enlisting }

// Run writes an entry of the allow list.
func (c allowCommand) Run(ctx context.Context, p program) error {
	return c.enlist(ctx, p, shop.Allow)
}

type removeCommand struct {
	Entry string `arg:"" placeholder:"ENTRY" help:"As list show shows it."`
	nodeFlags
}

// Run takes the entry out of both lists.
func (c removeCommand) Run(ctx context.Context, p program) error {
	subject, err := subjectOf(c.Entry)
	if err != nil {
		return err
	}
	node, err := c.client(p)
	if err != nil {
		return err
	}
	found := false
	for _, list := range shop.Lists() {
		said, err := node.ask(ctx, http.MethodDelete, entryPath(list, subject), nil)
		if err != nil {
			return err
		}
		var removed admin.Removed
		if err := json.Unmarshal(said.body, &removed); err != nil {
			return fmt.Errorf("read the node's answer: %w", err)
		}
		if removed.Removed {
			p.print(p.stdout, "%s: removed from the %s list\n", subject, list)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("%s stands in neither list; an address may be in a wider prefix: see doorbuster list show", subject)
	}
	return nil
}

type showListsCommand struct{ nodeFlags }

// Run prints a line per entry.
func (c showListsCommand) Run(ctx context.Context, p program) error {
	var lists admin.Lists
	if done, err := c.get(ctx, p, "/lists", &lists); done || err != nil {
		return err
	}
	if len(lists.Block)+len(lists.Allow) == 0 {
		p.print(p.stdout, "both lists are empty\n")
		return nil
	}
	return table(p.stdout, func(row func(cells ...any)) {
		row("LIST", "ENTRY", "UNTIL", "SINCE", "BY", "REASON")
		for _, e := range lists.Block {
			row(shop.Block, e.Entry, localOr(e.Until, "for good"), localOr(e.At, "in a file"), e.By, e.Reason)
		}
		for _, e := range lists.Allow {
			row(shop.Allow, e.Entry, localOr(e.Until, "for good"), localOr(e.At, "in a file"), e.By, e.Reason)
		}
	})
}

type suspectsCommand struct {
	Sale string `placeholder:"ID" help:"Only of this sale."`
	nodeFlags
}

// Run prints a line per suspect.
func (c suspectsCommand) Run(ctx context.Context, p program) error {
	path := "/suspects"
	if c.Sale != "" {
		path += "?" + url.Values{"sale": {c.Sale}}.Encode()
	}
	var all admin.Suspects
	if done, err := c.get(ctx, p, path, &all); done || err != nil {
		return err
	}
	if len(all.Suspects) == 0 {
		p.print(p.stdout, "nobody was suspected\n")
		return nil
	}
	return table(p.stdout, func(row func(cells ...any)) {
		row("LAST", "SALE", "ENTRY", "ADDRESS", "SCORE", "REASONS", "DONE", "TIMES", "SOLVED")
		for _, s := range all.Suspects {
			done := s.Done
			if s.Allowed {
				done = "now allowed"
			}
			row(local(s.Last), s.Sale, s.Undo, s.Address, s.Score, strings.Join(s.Reasons, ","), done, s.Times, s.Solved)
		}
	})
}

// localOr shows a time, or what it means that there is none.
func localOr(at, none string) string {
	if at == "" {
		return none
	}
	return local(at)
}

// entryPath names an entry of a list.
func entryPath(list shop.List, subject shop.Subject) string {
	return "/lists/" + list.String() + "?" + url.Values{"entry": {subject.String()}}.Encode()
}
