package edge

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"text/template"
)

//go:embed templates
var templates embed.FS

// Modes of what is written.
const (
	plain   fs.FileMode = 0o644
	run     fs.FileMode = 0o755
	private fs.FileMode = 0o600 // an operator writes passwords into it
)

// fill writes one file from the template of that name below templates.
func fill(from, to string, mode fs.FileMode, data any) (File, error) {
	text, err := templates.ReadFile("templates/" + from)
	if err != nil {
		return File{}, err
	}
	parsed, err := template.New(from).Option("missingkey=error").Funcs(template.FuncMap{
		"entry": entry, "inc": func(i int) int { return i + 1 },
	}).Parse(string(text))
	if err != nil {
		return File{}, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return File{}, fmt.Errorf("write %s: %w", to, err)
	}
	return File{Name: to, Mode: mode, Text: out.Bytes()}, nil
}
