//go:build crashpoints

package crash

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// passes counts how often the chosen point was passed.
var passes atomic.Int64

// At kills the process, as kill -9 would, at the n-th pass of the point that
// DOORBUSTER_CRASH_AT names as "point" or "point:n".
func At(point Point) {
	name, count, _ := strings.Cut(os.Getenv("DOORBUSTER_CRASH_AT"), ":")
	if name != string(point) {
		return
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	if passes.Add(1) == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
