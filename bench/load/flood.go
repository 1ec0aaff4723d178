package load

import (
	"sync/atomic"
	"time"
)

// Flood sends the requests of next over conns connections, up to so many in
// one piece before it reads their answers: for reaching a state, not for
// measuring.
func Flood(address string, conns, together int, next Source) (Result, error) {
	return crowd(address, conns, func(_ time.Time, sent *atomic.Int64, c *Conn, seen map[int]int64) error {
		var piece []byte
		for more := true; more; {
			piece = piece[:0]
			written := 0
			for more && written < together {
				var longer []byte
				if longer, more = next(sent.Add(1)-1, piece); more {
					piece = longer
					written++
				}
			}
			if written == 0 {
				return nil
			}
			if err := c.Send(piece); err != nil {
				return err
			}
			for range written {
				status, err := c.Answer()
				if err != nil {
					return err
				}
				seen[status]++
			}
		}
		return nil
	})
}
