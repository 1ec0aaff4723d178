package main

import (
	"bytes"
	"strings"

	"github.com/alecthomas/kong"
)

// printHelp is kong's own help, but that of flags of which exactly one is
// needed the first line shows (--one | --other), not both.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	to := ctx.Stdout
	defer func() { ctx.Stdout = to }()
	var page bytes.Buffer
	ctx.Stdout = &page
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	usage, rest, _ := strings.Cut(page.String(), "\n")
	if node := ctx.Selected(); node != nil {
		usage = alternatives(usage, node.Flags)
	}
	_, err := to.Write([]byte(usage + "\n" + rest))
	return err
}

// alternatives brackets the flags of a usage of which one alone is to be given.
func alternatives(usage string, flags []*kong.Flag) string {
	groups := map[string][]string{}
	for _, flag := range flags {
		for _, group := range flag.Xor {
			if flag.Required {
				groups[group] = append(groups[group], flag.Summary())
			}
		}
	}
	for _, group := range groups {
		usage = strings.Replace(usage, strings.Join(group, " "), "("+strings.Join(group, " | ")+")", 1)
	}
	return usage
}
