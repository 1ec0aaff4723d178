package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write writes the files below dir. Where another text stands in the place of
// one, nothing is written and the error names each such file (shop.Faults),
// unless force says to replace them.
func Write(dir string, files []File, force bool) error {
	var wrong faults
	for _, file := range files {
		path := filepath.Join(dir, filepath.FromSlash(file.Name))
		there, err := os.ReadFile(path) //nolint:gosec // the folder is the operator's choice
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !force && !bytes.Equal(there, file.Text):
			wrong.add(path, "is there and differs; compare them, then say --force to replace it, or name another --out")
		}
	}
	if err := wrong.err(); err != nil {
		return err
	}
	for _, file := range files {
		path := filepath.Join(dir, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // what proxies read is no secret
			return err
		}
		if err := os.WriteFile(path, file.Text, file.Mode); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := os.Chmod(path, file.Mode); err != nil { // the file was there, or a umask stood against it
			return err
		}
	}
	return nil
}
