package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// depthMax is how deep a JSON document may nest: a sale needs four levels.
const depthMax = 4

// DecodeStrict reads exactly one JSON object from data into value, which
// points to a struct. Unknown and duplicate fields, invalid UTF-8, deep
// nesting and anything behind the object are errors that name what is wrong.
func DecodeStrict(data []byte, value any) error {
	if !utf8.Valid(data) {
		return errors.New("not valid UTF-8")
	}
	if err := checkObject(data); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return plainJSONError(err)
	}
	return nil
}

// checkObject walks the tokens: what encoding/json lets pass (duplicate
// names, trailing data, depth) is found here.
func checkObject(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	first, err := decoder.Token()
	if err != nil {
		return plainJSONError(err)
	}
	if first != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	if err := checkMembers(decoder, 1); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// checkMembers reads up to the end of an object whose brace was just read.
func checkMembers(decoder *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return plainJSONError(err)
		}
		name, _ := token.(string)
		if seen[name] {
			return fmt.Errorf("field %q appears twice", name)
		}
		seen[name] = true
		if err := checkValue(decoder, depth); err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return plainJSONError(err)
}

func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return plainJSONError(err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == depthMax {
		return fmt.Errorf("nested deeper than %d levels", depthMax)
	}
	if delim == '{' {
		return checkMembers(decoder, depth+1)
	}
	for decoder.More() {
		if err := checkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return plainJSONError(err)
}

// plainJSONError says in the reader's words what encoding/json found.
func plainJSONError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends too early")
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %q is a %s, which does not fit", wrong.Field, wrong.Value)
	}
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON at byte %d: %s", bad.Offset, bad.Error())
	}
	return err
}
