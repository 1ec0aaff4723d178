package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// stat reads a process's state and parent from the kernel.
func stat(pid int) (state byte, parent int, ok bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, false
	}
	// The name stands in brackets and may hold anything, brackets too.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0][0], parent, err == nil
}

// descendants returns the children of a process, and theirs, whatever groups
// or sessions they have put themselves in.
func descendants(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, entry := range entries {
		if child, err := strconv.Atoi(entry.Name()); err == nil {
			if _, parent, ok := stat(child); ok {
				children[parent] = append(children[parent], child)
			}
		}
	}
	var family []int
	for next := children[pid]; len(next) > 0; next = next[1:] {
		family = append(family, next[0])
		next = append(next, children[next[0]]...)
	}
	return family
}

// gone waits until the processes have ended; whether anybody has taken note of
// their end does not matter.
func gone(pids []int) error {
	tick := time.NewTicker(pollRest)
	defer tick.Stop()
	late := time.NewTimer(stopMax)
	defer late.Stop()
	for _, pid := range pids {
		for state, _, ok := stat(pid); ok && state != 'Z' && state != 'X'; state, _, ok = stat(pid) {
			select {
			case <-tick.C:
			case <-late.C:
				return fmt.Errorf("process %d still runs %s after its end was asked for", pid, stopMax)
			}
		}
	}
	return nil
}
