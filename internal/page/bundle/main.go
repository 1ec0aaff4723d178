// Command bundle builds the pages' sources in web/ into internal/page/dist.
// Run it from the project's root: go run ./internal/page/bundle.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("web", filepath.Join("internal", "page", "dist")); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1) //nolint:forbidigo // main ends the program
	}
}

// run replaces what is in dist by what web builds to.
func run(web, dist string) error {
	files, err := build(web)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	for name, body := range files {
		path := filepath.Join(dist, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			return err
		}
	}
	return nil
}
