package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// depthMax is how deep a JSON document may nest: a sale needs four levels.
const depthMax = 4

// DecodeStrict reads exactly one JSON object from data into value, which
// points to a struct. Unknown and duplicate fields, names in another case,
// null for what has no null, invalid UTF-8, deep nesting and anything behind
// the object are errors that name what is wrong.
func DecodeStrict(data []byte, value any) error {
	tree, faults, err := readTree(data)
	if err != nil {
		return err
	}
	faults = append(faults, checkNames("", tree, reflect.TypeOf(value))...)
	if len(faults) > 0 {
		return faults
	}
	return plainJSONError(json.Unmarshal(data, value))
}

// tree is a JSON document as it was written: objects are map[string]any,
// arrays []any, numbers json.Number. What encoding/json would let pass
// (duplicate names, trailing data, depth) is found while it is read.
type tree struct {
	decoder *json.Decoder
	faults  Faults // duplicates: the document can be read, but means nothing
}

func readTree(data []byte) (map[string]any, Faults, error) {
	if !utf8.Valid(data) {
		return nil, nil, errors.New("not valid UTF-8")
	}
	t := &tree{decoder: json.NewDecoder(bytes.NewReader(data))}
	t.decoder.UseNumber()
	first, err := t.decoder.Token()
	if err != nil {
		return nil, nil, plainJSONError(err)
	}
	if first != json.Delim('{') {
		return nil, nil, errors.New("not a JSON object")
	}
	object, err := t.members("", 1)
	if err != nil {
		return nil, nil, err
	}
	if _, err := t.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("something follows the JSON object")
	}
	return object, t.faults, nil
}

// members reads up to the end of an object whose brace was just read.
func (t *tree) members(path string, depth int) (map[string]any, error) {
	object := map[string]any{}
	for t.decoder.More() {
		token, err := t.decoder.Token()
		if err != nil {
			return nil, plainJSONError(err)
		}
		name, _ := token.(string)
		field := join(path, name)
		if _, twice := object[name]; twice {
			t.faults.add(field, "appears twice; keep one of them")
		}
		if object[name], err = t.value(field, depth); err != nil {
			return nil, err
		}
	}
	_, err := t.decoder.Token()
	return object, plainJSONError(err)
}

func (t *tree) value(path string, depth int) (any, error) {
	token, err := t.decoder.Token()
	if err != nil {
		return nil, plainJSONError(err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == depthMax {
		return nil, fmt.Errorf("nested deeper than %d levels", depthMax)
	}
	if delim == '{' {
		return t.members(path, depth+1)
	}
	list := []any{}
	for t.decoder.More() {
		value, err := t.value(element(path, len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err = t.decoder.Token()
	return list, plainJSONError(err)
}

// checkNames compares the names of a document with those of a Go type,
// exactly: encoding/json takes "SKU" for "sku", and null for anything.
func checkNames(path string, value any, kind reflect.Type) Faults {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	var faults Faults
	switch value := value.(type) {
	case map[string]any:
		if kind.Kind() != reflect.Struct {
			return nil
		}
		known := fieldsOf(kind)
		for name, member := range value {
			if memberKind, ok := known[name]; ok {
				faults = append(faults, checkMember(join(path, name), member, memberKind)...)
			} else {
				faults.add(join(path, name), "is not a known field; known are %s", list(known))
			}
		}
	case []any:
		if kind.Kind() != reflect.Slice {
			return nil
		}
		for i, member := range value {
			faults = append(faults, checkMember(element(path, i), member, kind.Elem())...)
		}
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Field, b.Field) })
	return faults
}

func checkMember(path string, member any, kind reflect.Type) Faults {
	if member == nil && kind.Kind() != reflect.Pointer && kind.Kind() != reflect.Interface {
		return Faults{{path, "is null; write a value or leave the field out"}}
	}
	return checkNames(path, member, kind)
}

// fieldsOf returns the JSON names of a struct with the types behind them.
func fieldsOf(kind reflect.Type) map[string]reflect.Type {
	known := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(kind) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = field.Name
		}
		if field.IsExported() && !field.Anonymous && name != "-" {
			known[name] = field.Type
		}
	}
	return known
}

func list[T any](known map[string]T) string {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// plainJSONError says in the reader's words what encoding/json found.
func plainJSONError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends too early")
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return Faults{{wrong.Field, "is a " + wrong.Value + ", which does not fit"}}
	}
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON at byte %d: %s", bad.Offset, bad.Error())
	}
	return err
}
