package page

import (
	"bytes"
	"html/template"
)

// Lost returns the page of an address that leads nowhere, in the first language
// of an Accept-Language header that it speaks, English otherwise.
func (p *Pages) Lost(acceptLanguage string) Document { return p.lost[language(acceptLanguage)] }

// renderLost renders that page in every language.
func renderLost() (map[string]Document, error) {
	page, err := template.ParseFS(dist, "dist/lost.html")
	if err != nil {
		return nil, err
	}
	all, err := readWords("lost.json")
	if err != nil {
		return nil, err
	}
	const policy = "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	pages := map[string]Document{}
	for lang, words := range all {
		var body bytes.Buffer
		err := page.Execute(&body, struct {
			Assets, Lang string
			Words        map[string]string
		}{"/assets/", lang, words})
		if err != nil {
			return nil, err
		}
		if pages[lang], err = document(body.Bytes(), policy); err != nil {
			return nil, err
		}
	}
	return pages, nil
}
