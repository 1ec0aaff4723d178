package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// depthMax is how deep a document may nest; the readers behind allow less.
const depthMax = 8

// lineError is a fault at a line of a document.
type lineError struct {
	line int // 0: of the whole document
	text string
}

func (e lineError) Error() string { return e.text }

// converted is a YAML document as JSON, with the line of each value.
type converted struct {
	json  []byte
	lines map[string]int // path, as items[2].price.amount
}

// toJSON converts one YAML mapping to a JSON object. Numbers, dates and text
// stay exactly as written. What YAML has beyond JSON and comments is refused:
// anchors, aliases, tags, merged keys, several documents, special numbers.
func toJSON(data []byte) (converted, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	err := decoder.Decode(&root)
	switch {
	case errors.Is(err, io.EOF):
		return converted{}, lineError{0, "is empty"}
	case err != nil:
		return converted{}, syntaxError(err)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		return converted{}, lineError{second.Line, "a second document begins here; write one to a file"}
	} else if !errors.Is(err, io.EOF) {
		return converted{}, syntaxError(err)
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return converted{}, lineError{root.Line, "is not a list of fields; write such as id: retro-85"}
	}
	w := &writer{lines: map[string]int{}}
	if err := w.value(root.Content[0], "", 1); err != nil {
		return converted{}, err
	}
	return converted{w.out.Bytes(), w.lines}, nil
}

// syntaxError takes the line out of the parser's words.
func syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if n, _ := fmt.Sscanf(text, "line %d:", &line); n == 1 {
		_, text, _ = strings.Cut(text, ": ")
	}
	return lineError{line, "not YAML: " + text}
}

type writer struct {
	out   bytes.Buffer
	lines map[string]int
}

func (w *writer) value(node *yaml.Node, path string, depth int) error {
	w.lines[path] = node.Line
	if node.Anchor != "" || node.Kind == yaml.AliasNode {
		return lineError{node.Line, "has an anchor or alias (& or *); write the value out, in quotes if it is text"}
	}
	if node.Style&yaml.TaggedStyle != 0 {
		return lineError{node.Line, fmt.Sprintf("has the tag %s; leave it out", node.Tag)}
	}
	if depth > depthMax {
		return lineError{node.Line, fmt.Sprintf("nested deeper than %d levels", depthMax)}
	}
	switch node.Kind {
	case yaml.MappingNode:
		return w.mapping(node, path, depth)
	case yaml.SequenceNode:
		return w.sequence(node, path, depth)
	case yaml.ScalarNode:
		return w.scalar(node)
	default:
		return lineError{node.Line, "is neither text, number, list nor fields"}
	}
}

func (w *writer) mapping(node *yaml.Node, path string, depth int) error {
	first := map[string]int{}
	w.out.WriteByte('{')
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" || key.Anchor != "" {
			return lineError{key.Line, "a field's name must be plain text"}
		}
		if line, twice := first[key.Value]; twice {
			return lineError{key.Line, fmt.Sprintf("%s is set in line %d already; keep one of them", key.Value, line)}
		}
		first[key.Value] = key.Line
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.text(key.Value)
		w.out.WriteByte(':')
		field := join(path, key.Value)
		if err := w.value(value, field, depth+1); err != nil {
			return err
		}
		w.lines[field] = key.Line
	}
	w.out.WriteByte('}')
	return nil
}

func (w *writer) sequence(node *yaml.Node, path string, depth int) error {
	w.out.WriteByte('[')
	for i, value := range node.Content {
		if i > 0 {
			w.out.WriteByte(',')
		}
		if err := w.value(value, fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte(']')
	return nil
}

func (w *writer) scalar(node *yaml.Node) error {
	switch node.ShortTag() {
	case "!!str", "!!timestamp":
		w.text(node.Value)
	case "!!null":
		w.out.WriteString("null")
	case "!!bool":
		w.out.WriteString(strings.ToLower(node.Value))
	case "!!int", "!!float":
		number := strings.TrimPrefix(node.Value, "+")
		if !json.Valid([]byte(number)) {
			return lineError{node.Line, fmt.Sprintf("the number %s has a form that can be misread; write plain digits, or quotes around text", node.Value)}
		}
		w.out.WriteString(number)
	default:
		return lineError{node.Line, fmt.Sprintf("%s is not text, number, true or false; write it in quotes if it is text", node.Value)}
	}
	return nil
}

func (w *writer) text(s string) {
	quoted, _ := json.Marshal(s) // a string always has an encoding
	w.out.Write(quoted)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
