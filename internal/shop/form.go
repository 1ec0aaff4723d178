package shop

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// form takes the fields out of one JSON object by name, notes what does not
// fit, and at the end what nobody took.
type form struct {
	path   string
	left   map[string]any
	asked  map[string]bool
	faults *Faults
	loose  bool // what nobody took is no fault, here and in nested objects
}

func newForm(path string, object map[string]any, faults *Faults) *form {
	return &form{path: path, left: object, asked: map[string]bool{}, faults: faults}
}

func (f *form) take(name string) (any, bool) {
	f.asked[name] = true
	value, ok := f.left[name]
	delete(f.left, name)
	return value, ok
}

func (f *form) wrong(name, format string, args ...any) {
	f.faults.add(join(f.path, name), format, args...)
}

// text returns a string, or fallback where there is none.
func (f *form) text(name, fallback string) string {
	text, ok := f.quoted(name, "text in quotes")
	if !ok {
		return fallback
	}
	return text
}

// quoted returns a string, and false where there is none or, already noted,
// something else.
func (f *form) quoted(name, instead string) (string, bool) {
	value, ok := f.take(name)
	if !ok {
		return "", false
	}
	text, ok := value.(string)
	if !ok {
		f.wrong(name, "is %s; write %s", describe(value), instead)
	}
	return text, ok
}

func (f *form) whole(name string, fallback int64) int64 {
	value, ok := f.take(name)
	if !ok {
		return fallback
	}
	number, ok := value.(json.Number)
	if !ok {
		f.wrong(name, "is %s; write a whole number", describe(value))
		return fallback
	}
	whole, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil {
		f.wrong(name, "%s is not a whole number that fits; write digits only", number)
		return fallback
	}
	return whole
}

func (f *form) flag(name string) bool {
	value, ok := f.take(name)
	if !ok {
		return false
	}
	flag, ok := value.(bool)
	if !ok {
		f.wrong(name, "is %s; write true or false", describe(value))
	}
	return flag
}

func (f *form) moment(name string) time.Time {
	const instead = "a time with its zone, such as 2026-12-01T10:00:00+08:00"
	text, ok := f.quoted(name, instead)
	if !ok {
		return time.Time{}
	}
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil || !strictMoment(text) {
		f.wrong(name, "%q is not a time with its zone; write %s", text, instead)
		return time.Time{}
	}
	return moment.UTC().Truncate(time.Millisecond)
}

// strictMoment refuses what package time lets pass: hours of one digit, a
// comma before the fraction, offsets of a day or more.
func strictMoment(text string) bool {
	const hourEnds, offset = len("2006-01-02T15"), len("+07:00")
	if text[hourEnds] != ':' || strings.Contains(text, ",") {
		return false
	}
	zone := text[len(text)-offset:]
	return strings.HasSuffix(zone, "Z") || (zone[1:3] < "24" && zone[4:] < "60")
}

func (f *form) span(name string, fallback time.Duration) time.Duration {
	const instead = "a duration, such as 90s, 10m or 1h30m"
	text, ok := f.quoted(name, instead)
	if !ok {
		return fallback
	}
	span, err := time.ParseDuration(text)
	if err != nil {
		f.wrong(name, "%q is not one; write %s", text, instead)
		return fallback
	}
	return span
}

func (f *form) object(name string) *form {
	value, ok := f.take(name)
	return f.formOf(name, value, ok)
}

// formOf returns a form for a nested object; an empty one, already noted,
// where value is something else.
func (f *form) formOf(name string, value any, given bool) *form {
	object, ok := value.(map[string]any)
	if given && !ok {
		f.wrong(name, "is %s; write an object with its fields", describe(value))
	}
	nested := newForm(join(f.path, name), object, f.faults)
	nested.loose = f.loose
	return nested
}

func (f *form) list(name string) []any {
	value, ok := f.take(name)
	if !ok {
		return nil
	}
	elements, ok := value.([]any)
	if !ok {
		f.wrong(name, "is %s; write a list", describe(value))
	}
	return elements
}

// end notes every field that was not asked for.
func (f *form) end() {
	if f.loose {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(f.left)) {
		if meant, ok := f.meant(name); ok {
			f.wrong(name, "is not a known field; write %s", meant)
		} else {
			f.wrong(name, "is not a known field; known are %s", list(f.asked))
		}
	}
}

// meant returns the field that somebody who wrote name had in mind.
func (f *form) meant(name string) (string, bool) {
	plain := strings.NewReplacer("_", "", "-", "", " ", "")
	for _, known := range slices.Sorted(maps.Keys(f.asked)) {
		if strings.EqualFold(plain.Replace(known), plain.Replace(name)) {
			return known, true
		}
	}
	return "", false
}

func describe(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return "the text " + strconv.Quote(value)
	case json.Number:
		return "the number " + value.String()
	case bool:
		return strconv.FormatBool(value)
	case []any:
		return "a list"
	}
	return "an object"
}
