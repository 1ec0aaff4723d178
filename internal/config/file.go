package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// fileMax bounds a settings file, in bytes.
const fileMax = 64 << 10

// ReadSale reads a sale file: JSON where the name says so, or where the text
// begins with a brace; else YAML. The error (shop.Faults) names file, line and
// field of every fault.
func ReadSale(path string) (shop.Sale, error) {
	data, err := readFile(path, shop.DocumentMax)
	if err != nil {
		return shop.Sale{}, err
	}
	return parseSale(path, data)
}

func parseSale(path string, data []byte) (shop.Sale, error) {
	doc := converted{json: data}
	if !isJSON(path, data) {
		var err error
		if doc, err = toJSON(data); err != nil {
			return shop.Sale{}, doc.locate(path, err)
		}
	}
	sale, err := shop.DecodeSale(doc.json)
	if err != nil {
		return shop.Sale{}, doc.locate(path, err)
	}
	return sale, nil
}

func isJSON(path string, data []byte) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		return true
	case ".yaml", ".yml":
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte("{"))
}

// locate names file and line of each fault.
func (c converted) locate(path string, err error) shop.Faults {
	if at, ok := errors.AsType[lineError](err); ok {
		return shop.Faults{{Field: place(path, at.line), Wrong: at.text}}
	}
	faults, ok := errors.AsType[shop.Faults](err)
	if !ok {
		return shop.Faults{{Field: path, Wrong: err.Error()}}
	}
	faults = slices.Clone(faults)
	for i, fault := range faults {
		faults[i].Field = strings.TrimSuffix(place(path, c.line(fault.Field))+": "+fault.Field, ": ")
	}
	return faults
}

// line returns the line of the field, else of what it is a part of.
func (c converted) line(field string) int {
	for field != "" {
		if line, ok := c.lines[field]; ok {
			return line
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
	return 0
}

func place(path string, line int) string {
	if line == 0 {
		return path
	}
	return fmt.Sprintf("%s:%d", path, line)
}

func readFile(path string, most int64) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // named by the operator
	if err != nil {
		return nil, shop.Faults{{Field: path, Wrong: plainFileError(err)}}
	}
	defer file.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, shop.Faults{{Field: path, Wrong: plainFileError(err)}}
	}
	if int64(len(data)) > most {
		return nil, shop.Faults{{Field: path, Wrong: fmt.Sprintf("has more than %d bytes", most)}}
	}
	return data, nil
}

// plainFileError leaves out what the fault's field says already.
func plainFileError(err error) string {
	if wrong, ok := errors.AsType[*os.PathError](err); ok {
		return wrong.Err.Error()
	}
	return err.Error()
}

// entry is one line of a settings file.
type entry struct{ name, value, source string }

// readSettings reads a flat YAML file of settings, in the order written.
func readSettings(path string) ([]entry, shop.Faults) {
	data, err := readFile(path, fileMax)
	if err != nil {
		faults, _ := errors.AsType[shop.Faults](err)
		return nil, faults
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	doc, err := toJSON(data)
	if err != nil {
		return nil, doc.locate(path, err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc.json, &fields); err != nil {
		return nil, doc.locate(path, err)
	}
	var entries []entry
	var faults shop.Faults
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := place(path, doc.line(name))
		value, ok := flat(fields[name])
		if !ok {
			faults = append(faults, shop.Fault{Field: at, Wrong: name + " is neither a single value nor a list of them"})
			continue
		}
		entries = append(entries, entry{name, value, at})
	}
	slices.SortFunc(entries, func(a, b entry) int { return doc.line(a.name) - doc.line(b.name) })
	return entries, faults
}

// flat writes a value, or a list of values, as a flag would say it.
func flat(raw json.RawMessage) (string, bool) {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		parts = []json.RawMessage{raw}
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		if part[0] == '{' || part[0] == '[' {
			return "", false
		}
		if err := json.Unmarshal(part, &texts[i]); err != nil {
			texts[i] = string(part) // a number or a bool, as written
		}
	}
	return strings.Join(texts, ","), true
}
