package gate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Rate is how often a key may come: so many requests a second in the long run,
// and Burst at once after a pause. The zero Rate is off.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Bounds of a rate. The slowest one and the longest pause keep what a limiter
// remembers far inside the range of its time.
const (
	rateMin        = 0.01 // requests a second: one in 100 s
	rateMax        = 1_000_000
	burstMax       = 1_000_000
	refillMax      = time.Hour // until a spent burst is whole again
	ticksPerSecond = float64(time.Second >> tickShift)
)

// ParseRate reads "RATE:BURST" or "RATE", both a second; a missing burst is
// one second's worth, and "0" is off.
func ParseRate(text string) (Rate, error) {
	left, right, hasBurst := strings.Cut(text, ":")
	perSecond, err := strconv.ParseFloat(left, 64)
	if err != nil || strings.Trim(left, "0123456789.") != "" {
		return Rate{}, fmt.Errorf("rate %q: %q is not a number; write RATE or RATE:BURST, such as 50:100, or 0 for no limit", text, left)
	}
	rate := Rate{PerSecond: perSecond, Burst: int(max(1, math.Ceil(min(perSecond, burstMax))))}
	if hasBurst {
		burst, err := strconv.Atoi(right)
		if err != nil || strings.Trim(right, "0123456789") != "" {
			return Rate{}, fmt.Errorf("rate %q: burst %q is not a whole number; write RATE:BURST, such as 50:100", text, right)
		}
		rate.Burst = burst
	}
	if perSecond == 0 {
		return Rate{}, nil
	}
	if err := rate.check(); err != nil {
		return Rate{}, fmt.Errorf("rate %q: %w", text, err)
	}
	return rate, nil
}

func (r Rate) check() error {
	if r.PerSecond < rateMin || r.PerSecond > rateMax {
		return fmt.Errorf("%s requests a second; it may be 0 (off) or %g to %d", number(r.PerSecond), rateMin, rateMax)
	}
	if r.Burst < 1 || r.Burst > burstMax {
		return fmt.Errorf("burst %d; it may be 1 to %d", r.Burst, burstMax)
	}
	if float64(r.Burst)/r.PerSecond > refillMax.Seconds() {
		return fmt.Errorf("a burst of %d takes more than %s to come back; write a smaller burst or a higher rate", r.Burst, refillMax)
	}
	return nil
}

// times returns the rate of so many keys together, as far as a limiter goes.
func (r Rate) times(n int) Rate {
	most := min(float64(n), rateMax/r.PerSecond, float64(burstMax)/float64(r.Burst)) // both grow alike: a burst takes no longer to come back
	return Rate{PerSecond: r.PerSecond * most, Burst: int(float64(r.Burst) * most)}
}

// Off reports whether the rate limits nothing.
func (r Rate) Off() bool { return r.PerSecond == 0 }

// String returns what ParseRate reads.
func (r Rate) String() string {
	if r.Off() {
		return "0"
	}
	return number(r.PerSecond) + ":" + strconv.Itoa(r.Burst)
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
