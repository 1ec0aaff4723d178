package herald

import "time"

const (
	// restFactor keeps looking at touched sales under a twentieth of a core: a
	// look that took t is paid for by a rest of 20 t, before it or after it.
	restFactor = 20
	// savedMax is how much looking a quiet time saves: enough that a sale which
	// begins or ends is seen at once, even where the machine is busy and a look
	// takes tens of milliseconds.
	savedMax = 50 * time.Millisecond
	// restMin is the least time between two looks at touched sales. Each SKU
	// looked at adds restEach, up to restCalm in all. A thousand SKUs that all
	// sell are looked at a few times a second; more often, the looking, and the
	// drawing of what it saw, would cost a tenth of what they sell.
	restMin  = 20 * time.Millisecond
	restEach = 250 * time.Microsecond
	restCalm = 500 * time.Millisecond
	// restMost is the longest rest, or restLook for each sale looked at where they
	// are many. A look works for less than a millisecond: what took longer waited
	// for the disk or for a processor, and buyers may be waiting for the next look,
	// a second at most (lookMax of checkout).
	restMost = 400 * time.Millisecond
	restLook = 20 * time.Millisecond
)

// purse is how much looking at touched sales can be afforded. Time fills it,
// looks empty it, and what they owe is rested for.
type purse struct {
	saved time.Duration // of looking; below 0: owed
	at    time.Time     // when that was so
}

// spend pays for a round, and returns how long touched sales wait for the next
// one.
func (p *purse) spend(began, ended time.Time, seen extent) time.Duration {
	if !p.at.IsZero() {
		p.saved = min(p.saved+max(0, began.Sub(p.at))/restFactor, savedMax)
	}
	most := max(restMost, restLook*time.Duration(seen.sales))
	p.saved = max(p.saved-max(0, ended.Sub(began)), -most/restFactor)
	p.at = ended
	least := min(restMin+restEach*time.Duration(seen.skus), restCalm)
	return max(least, -p.saved*restFactor)
}
