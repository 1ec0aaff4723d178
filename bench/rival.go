package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rival is another process that takes one of the cores for itself.
type rival struct {
	*server
	since time.Time
}

// startRival starts a loop that never rests and may run on one core alone. It is
// an equal among those who run there: with a higher priority it would starve
// threads that the kernel leaves on its core, which says more of the kernel.
func (b *bench) startRival() (*rival, error) {
	core, err := lastCore()
	if err != nil {
		return nil, err
	}
	s, err := startServer(filepath.Join(b.dir, "rival.log"), os.Environ(), "sh", "-c", "while :; do :; done")
	if err != nil {
		return nil, err
	}
	r := &rival{s, time.Now()}
	if err := unix.SchedSetaffinity(s.PID(), core); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the rival on one core: %w", err), r.Kill())
	}
	return r, nil
}

// lastCore is one of those that this process may use.
func lastCore() (*unix.CPUSet, error) {
	var ours, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		return nil, err
	}
	for core, left := 0, ours.Count(); left > 0; core++ {
		if ours.IsSet(core) {
			one.Zero()
			one.Set(core)
			left--
		}
	}
	return &one, nil
}

// end stops the rival, and returns how much of a core it had.
func (r *rival) end() (float64, error) {
	used, err := r.cpu()
	had := used.Seconds() / time.Since(r.since).Seconds()
	return had, errors.Join(err, r.Stop(syscall.SIGKILL))
}
