package page

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Export writes the sale's page as plain files for any CDN or object store:
// dir/s/{sale}/index.html and dir/assets/. apiOrigin is where the page finds
// the API and the state; empty is wherever the page is served from. A file
// appears whole or not at all, and the page after everything it needs, so a
// second export may overwrite a folder that is being served.
func (p *Pages) Export(dir string, sale shop.Sale, apiOrigin string) error {
	if err := CheckOrigin(apiOrigin); err != nil {
		return err
	}
	// Two steps up lead to the root from /s/{sale}/ and from /s/{sale} alike,
	// and the folder may lie below the root.
	body, err := p.render(newView(sale, place{assets: "../../assets/", apiOrigin: apiOrigin, metaPolicy: metaPolicy(apiOrigin)}))
	if err != nil {
		return err
	}
	for name, asset := range p.assets {
		if err := writeFile(filepath.Join(dir, "assets", name), asset.Body); err != nil {
			return fmt.Errorf("export sale %s: %w", sale.ID, err)
		}
	}
	if err := writeFile(filepath.Join(dir, "s", sale.ID, "index.html"), body); err != nil {
		return fmt.Errorf("export sale %s: %w", sale.ID, err)
	}
	return nil
}

// writeFile puts a file in its place in one step. Everybody may read it: it is
// made for a web server.
func writeFile(path string, body []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // public
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // gone after the rename
	_, err = temporary.Write(body)
	if err == nil {
		err = temporary.Chmod(0o644)
	}
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
