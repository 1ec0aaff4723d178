package admin

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
)

// refusedEvery is how often wrong tokens are logged: whoever guesses must not
// fill the disk as well.
const refusedEvery = time.Minute

// Refused counts calls that were refused for want of the operators' token. The
// zero Refused is ready to use.
type Refused struct {
	Missing, Wrong atomic.Uint64 // no token at all, another one

	logged atomic.Int64 // when last, in nanoseconds; 0: never
}

// noteRefused counts the call and, where it bore another token, says so from
// time to time, with the network that it came from and nothing that it sent.
func (d *Door) noteRefused(r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		d.Refused.Missing.Add(1)
		return
	}
	count := d.Refused.Wrong.Add(1)
	now, last := d.Now().UnixNano(), d.Refused.logged.Load()
	if last != 0 && now-last < int64(refusedEvery) || !d.Refused.logged.CompareAndSwap(last, now) {
		return
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // an invalid one is unknown
	d.Log.Warn("a call with a wrong operators' token was refused; more within a minute are only counted",
		slog.String("from", gate.Redact(peer.Addr())), slog.Uint64("since_start", count))
}
