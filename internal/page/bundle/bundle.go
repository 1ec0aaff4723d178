package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// build returns every file of dist by its name there: the templates, the words
// that Go needs, and the assets, whose names bear a hash of what they hold.
func build(web string) (map[string][]byte, error) {
	assets, err := bundle(web)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	renames := make([]string, 0, 2*len(assets))
	for _, asset := range assets {
		name := filepath.Base(asset.Path)
		files["assets/"+name] = asset.Contents
		renames = append(renames, "}}"+plainName(name)+`"`, "}}"+name+`"`)
	}
	sources := os.DirFS(web)
	for _, template := range []string{"buyer/buyer.html", "sandbox/sandbox.html", "lost/lost.html"} {
		source, err := fs.ReadFile(sources, template)
		if err != nil {
			return nil, err
		}
		files[path.Base(template)] = []byte(strings.NewReplacer(renames...).Replace(squeeze(source)))
	}
	for _, name := range []string{"sandbox.json", "lost.json"} {
		words, err := fs.ReadFile(sources, "i18n/"+name)
		if err != nil {
			return nil, err
		}
		files[name] = words
	}
	return files, nil
}

func bundle(web string) ([]api.OutputFile, error) {
	dir, err := filepath.Abs(web)
	if err != nil {
		return nil, err
	}
	solver, err := compile(dir, "", "challenge/challenge.js")
	if err != nil {
		return nil, err
	}
	pages, err := compile(dir, filepath.Base(solver[0].Path), "buyer/buyer.js", "buyer/buyer.css", "sandbox/sandbox.css", "lost/lost.css")
	return append(solver, pages...), err
}

// compile bundles files that may load the solver, which lies beside them.
func compile(dir, solver string, entries ...string) ([]api.OutputFile, error) {
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:     dir,
		EntryPoints:       entries,
		Define:            map[string]string{"SOLVER": strconv.Quote("./" + solver)},
		Bundle:            true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		MangleProps:       "^_", // our private names; real private fields cost 2 KB at this target
		Format:            api.FormatIIFE,
		Target:            api.ES2020, // what a five-year-old phone runs, and it knows these:
		Supported:         map[string]bool{"class-field": true, "logical-assignment": true},
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone,
		EntryNames:        "[name]-[hash]",
		Outdir:            "assets",
	})
	var faults []error
	for _, fault := range result.Errors {
		faults = append(faults, errors.New(describe(fault)))
	}
	for _, fault := range result.Warnings {
		faults = append(faults, errors.New(describe(fault)))
	}
	return result.OutputFiles, errors.Join(faults...)
}

func describe(fault api.Message) string {
	if fault.Location == nil {
		return fault.Text
	}
	return fmt.Sprintf("web/%s:%d: %s", fault.Location.File, fault.Location.Line, fault.Text)
}

// plainName is the name without its hash: buyer-ABCD1234.js → buyer.js.
func plainName(name string) string {
	stem, rest, _ := strings.Cut(name, "-")
	return stem + filepath.Ext(rest)
}

// squeeze takes the indentation out of a template; no page needs it.
func squeeze(source []byte) string {
	var out bytes.Buffer
	for line := range bytes.Lines(source) {
		out.Write(bytes.TrimSpace(line))
		out.WriteByte('\n')
	}
	return out.String()
}
