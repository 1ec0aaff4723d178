package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// sumDigits is the length of a line's checksum: CRC-32 (Castagnoli) in hex.
const sumDigits = 8

// journal is a file of lines, each with its checksum. A line counts once it
// is synced; one torn by a crash was never synced and is cut off at the next
// start.
type journal struct {
	path   string
	castag *crc32.Table

	mu      sync.Mutex // guards what follows; held for writes, not for syncs
	file    *os.File
	size    int64 // bytes of whole lines in the file
	written int64 // bytes ever appended: a line's mark, which no rewrite moves
	broken  error // after a failed sync nothing more is believed

	syncing sync.Mutex // one sync at a time; those who wait share the next
	synced  int64      // up to this mark everything is on disk
}

// openJournal opens or makes the file and gives each of its lines to read.
func openJournal(path string, read func(line []byte) error) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own data folder
	if err != nil {
		return nil, fmt.Errorf("open the sandbox's journal: %w", err)
	}
	j := &journal{path: path, file: file, castag: crc32.MakeTable(crc32.Castagnoli)}
	if err := j.replay(read); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := syncFolder(path); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

// replay reads every line and cuts off a torn last one.
func (j *journal) replay(read func(line []byte) error) error {
	data, err := io.ReadAll(j.file)
	if err != nil {
		return fmt.Errorf("read %s: %w", j.path, err)
	}
	for number := 1; len(data) > 0; number++ {
		raw, rest, whole := bytes.Cut(data, []byte{'\n'})
		line, sound := j.unseal(raw)
		if !whole || (!sound && len(rest) == 0) {
			break
		}
		if !sound {
			return fmt.Errorf("%s: line %d is damaged; repair it, or move the file away to start without the payments in it", j.path, number)
		}
		if err := read(line); err != nil {
			return fmt.Errorf("%s: line %d: %w", j.path, number, err)
		}
		j.size += int64(len(raw)) + 1
		data = rest
	}
	if err := j.file.Truncate(j.size); err != nil {
		return fmt.Errorf("cut a torn line off %s: %w", j.path, err)
	}
	if _, err := j.file.Seek(j.size, io.SeekStart); err != nil {
		return fmt.Errorf("seek the end of %s: %w", j.path, err)
	}
	j.written = j.size
	return j.sync(j.written)
}

func (j *journal) seal(line []byte) []byte {
	return fmt.Appendf(nil, "%0*x %s\n", sumDigits, crc32.Checksum(line, j.castag), line)
}

func (j *journal) unseal(raw []byte) ([]byte, bool) {
	if len(raw) <= sumDigits {
		return nil, false
	}
	line := raw[sumDigits+1:]
	sum, err := strconv.ParseUint(string(raw[:sumDigits]), 16, 32)
	return line, err == nil && uint32(sum) == crc32.Checksum(line, j.castag)
}

// append writes lines and returns the mark up to which sync makes them
// durable. An error means that nothing was written.
func (j *journal) append(lines ...[]byte) (int64, error) {
	var block []byte
	for _, line := range lines {
		block = append(block, j.seal(line)...)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return 0, j.broken
	}
	if _, err := j.file.Write(block); err != nil {
		return 0, errors.Join(fmt.Errorf("write %s: %w", j.path, err), j.cut())
	}
	j.size += int64(len(block))
	j.written += int64(len(block))
	return j.written, nil
}

// cut removes half a line, so that the next one begins where it should.
func (j *journal) cut() error {
	err := j.file.Truncate(j.size)
	if err == nil {
		_, err = j.file.Seek(j.size, io.SeekStart)
	}
	if err != nil {
		j.broken = fmt.Errorf("%s: half a line could not be cut off: %w", j.path, err)
	}
	return err
}

// sync returns once everything up to mark is on disk. Many callers share one
// sync. After a failed one the journal takes nothing more: what the disk holds
// is found out by reading it again at the next start.
func (j *journal) sync(mark int64) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.synced >= mark {
		return nil
	}
	j.mu.Lock()
	file, upTo, broken := j.file, j.written, j.broken
	j.mu.Unlock()
	if broken != nil {
		return broken
	}
	if err := file.Sync(); err != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.broken = fmt.Errorf("sync %s: %w", j.path, err)
		return j.broken
	}
	j.synced = upTo
	return nil
}

// rewrite replaces the file by these lines, durably, or leaves it as it is.
// The caller lets nobody append meanwhile.
func (j *journal) rewrite(lines [][]byte) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	var block []byte
	for _, line := range lines {
		block = append(block, j.seal(line)...)
	}
	file, err := j.replacement(block)
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", j.path, err)
	}
	old := j.file
	j.file, j.size, j.synced = file, int64(len(block)), j.written
	if err := syncFolder(j.path); err != nil {
		j.broken = err // which of the two files a crash would leave is not known
		return errors.Join(err, old.Close())
	}
	return old.Close()
}

// replacement writes block to a file that takes the journal's name.
func (j *journal) replacement(block []byte) (*os.File, error) {
	temporary := j.path + ".new"
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the operator's own data folder
	if err != nil {
		return nil, err
	}
	_, err = file.Write(block)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(temporary, j.path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(temporary))
	}
	return file, nil
}

func (j *journal) bytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size
}

func (j *journal) close() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		j.broken = os.ErrClosed
	}
	return j.file.Close()
}

// syncFolder makes the file's name durable.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("open the folder of %s: %w", path, err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync the folder of %s: %w", path, err)
	}
	return nil
}
