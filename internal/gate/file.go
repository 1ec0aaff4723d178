package gate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// fileMax bounds a list file, in bytes: every entry that it may have, with a
// long line for each.
const fileMax = 16 << 20

// ReadEntries reads the file that a list is kept in. What is wrong with its lines
// is a shop.Faults; without an error, the entries are all that it says.
func ReadEntries(list shop.List, path string) (entries []shop.Entry, err error) {
	file, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		if fault, ok := errors.AsType[*fs.PathError](err); ok {
			err = fault.Err
		}
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	about, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if !about.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: it is no file; name one with an address, a prefix or buyer:ID in each line", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, fileMax+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > fileMax {
		return nil, fmt.Errorf("read %s: it has more than %d MiB; a list may have %d entries", path, fileMax>>20, shop.EntriesMax)
	}
	return shop.ParseEntries(list, path, text)
}
