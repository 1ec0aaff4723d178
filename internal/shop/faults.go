package shop

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a document.
type Fault struct {
	Field string // its path, such as items[2].price.amount; empty: the whole document
	Wrong string // what is wrong, and what to write instead
}

func (f Fault) String() string {
	if f.Field == "" {
		return f.Wrong
	}
	return f.Field + ": " + f.Wrong
}

// Faults is everything that is wrong with a document, at once. It is an error
// where it is not empty.
type Faults []Fault

// faultsMax bounds how many faults are told: nobody reads more at a time.
const faultsMax = 100

func (f Faults) Error() string { return strings.Join(f.Lines(), "\n") }

// Lines returns one line for each fault.
func (f Faults) Lines() []string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return lines
}

func (f *Faults) add(field, format string, args ...any) {
	*f = append(*f, Fault{field, fmt.Sprintf(format, args...)})
}

// merge adds those of more that are not about a field, or a part of a field,
// that has a fault already.
func (f *Faults) merge(more Faults) {
	told := *f
	for _, fault := range more {
		if !told.cover(fault.Field) {
			*f = append(*f, fault)
		}
	}
}

func (f Faults) cover(field string) bool {
	for i := range f {
		rest, ok := strings.CutPrefix(field, f[i].Field)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// err returns the faults as an error, or nil.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	if len(f) > faultsMax {
		more := Fault{Wrong: fmt.Sprintf("and %d more", len(f)-faultsMax)}
		return append(f[:faultsMax:faultsMax], more)
	}
	return f
}
