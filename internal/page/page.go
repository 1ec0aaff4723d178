// Package page is the static buyer page: built from web/, embedded, rendered
// once per sale and exportable to any CDN.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"mime"
	"path"
	"slices"

	"github.com/doorbuster/doorbuster/internal/shop"
)

//go:embed dist
var dist embed.FS

// Pages renders every page of the product that is static. It is safe for
// concurrent use.
type Pages struct {
	buyer, sandbox *template.Template
	words          words               // of the sandbox
	lost           map[string]Document // by language
	assets         map[string]Asset
}

// words are texts by language and name.
type words map[string]map[string]string

func readWords(name string) (words, error) {
	text, err := dist.ReadFile("dist/" + name)
	if err != nil {
		return nil, err
	}
	var w words
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return w, nil
}

// Asset is one file under /assets/. Its name bears a hash of what it holds, so
// it may be kept for ever.
type Asset struct {
	Body, Gzip  []byte
	ContentType string
}

// Document is a page, ready to be served. Its two encodings have an ETag each,
// as two representations must.
type Document struct {
	Body, Gzip     []byte
	ETag, GzipETag string // strong, with their quotes
	Policy         string // of the Content-Security-Policy header
}

// ContentType is the Content-Type of every Document.
const ContentType = "text/html; charset=utf-8"

// New reads what was embedded.
func New() (*Pages, error) {
	p := &Pages{assets: map[string]Asset{}}
	var err error
	if p.buyer, err = template.ParseFS(dist, "dist/buyer.html"); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	if p.sandbox, err = template.ParseFS(dist, "dist/sandbox.html"); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	if p.words, err = readWords("sandbox.json"); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	if p.lost, err = renderLost(); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	if err := p.readAssets(); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return p, nil
}

func (p *Pages) readAssets() error {
	entries, err := fs.ReadDir(dist, "dist/assets")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		body, err := dist.ReadFile("dist/assets/" + entry.Name())
		if err != nil {
			return err
		}
		zipped, err := zip(body)
		if err != nil {
			return err
		}
		p.assets[entry.Name()] = Asset{Body: body, Gzip: zipped, ContentType: mime.TypeByExtension(path.Ext(entry.Name()))}
	}
	return nil
}

// Asset returns the file /assets/{name}.
func (p *Pages) Asset(name string) (Asset, bool) {
	asset, ok := p.assets[name]
	return asset, ok
}

// AssetNames lists the files under /assets/, sorted.
func (p *Pages) AssetNames() []string { return slices.Sorted(maps.Keys(p.assets)) }

// Render returns the page of a sale, GET /s/{sale}, with its API on the same
// origin.
func (p *Pages) Render(sale shop.Sale) (Document, error) {
	body, err := p.render(newView(sale, place{assets: "/assets/"}))
	if err != nil {
		return Document{}, err
	}
	return document(body, Policy(""))
}

func (p *Pages) render(v view) ([]byte, error) {
	var body bytes.Buffer
	if err := p.buyer.Execute(&body, v); err != nil {
		return nil, fmt.Errorf("page of sale %s: %w", v.Sale.ID, err)
	}
	return body.Bytes(), nil
}

func document(body []byte, policy string) (Document, error) {
	zipped, err := zip(body)
	if err != nil {
		return Document{}, err
	}
	return Document{Body: body, Gzip: zipped, ETag: etag(body), GzipETag: etag(zipped), Policy: policy}, nil
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

func zip(body []byte) ([]byte, error) {
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return zipped.Bytes(), nil
}
