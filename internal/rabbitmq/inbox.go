package rabbitmq

import (
	"sync"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// partsBits of a delivery's tag number the ticket in its message.
	partsBits = 16
	partsMax  = 1 << partsBits
	// tracesMax bounds what is remembered of messages of lost links. Without
	// it their tickets only come in another order, or once more.
	tracesMax = 4096
)

// parcel is one delivery of a message.
type parcel struct {
	link    *link
	number  uint64 // ours, never used twice
	tag     uint64 // the broker's, of this link alone
	id      string // the message's, empty for a stranger's
	again   bool   // it was delivered before, here or elsewhere
	tickets []shop.Ticket
	done    []bool // which tickets are acknowledged; nil: none
	left    int    // how many are not
	next    int    // the first ticket not handed out yet
	seen    bool   // tickets of it were handed out, perhaps under an earlier link
	sent    bool   // the broker has our acknowledgement
}

// inbox is what the link of the moment delivered and the broker still counts
// as ours.
type inbox struct {
	wake chan struct{} // holds a token when a receiver may find tickets

	// acking is held from the choice of tags until they are written: one that
	// stands for all before it must not overtake those.
	acking sync.Mutex

	mu      sync.Mutex
	last    uint64 // parcel's number
	came    int
	tickets int       // not acknowledged
	fresh   []*parcel // with tickets to hand out
	behind  []*parcel // the same, handed out before: others go first
	parcels map[uint64]*parcel
	order   []*parcel // by tag, from the first that is not acknowledged

	// traces tell what was acknowledged of a message when its link was lost
	// with the rest of it.
	traces map[string][]bool
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1), parcels: map[uint64]*parcel{}, traces: map[string][]bool{}}
}

func (in *inbox) rouse() {
	select {
	case in.wake <- struct{}{}:
	default: // somebody is called already
	}
}

// put adds a message that was delivered.
func (in *inbox) put(p *parcel) {
	in.mu.Lock()
	in.last++
	in.came++
	p.number = in.last
	if done, ok := in.traces[p.id]; ok && p.again {
		p.recall(done)
	}
	in.parcels[p.number] = p
	in.order = append(in.order, p)
	in.tickets += p.left
	if p.seen {
		in.behind = append(in.behind, p)
	} else {
		in.fresh = append(in.fresh, p)
	}
	in.mu.Unlock()
	in.rouse()
}

// recall brings back what is known of the message.
func (p *parcel) recall(done []bool) {
	p.seen = true
	if len(done) != len(p.tickets) {
		return
	}
	p.done = done
	for _, is := range done {
		if is {
			p.left--
		}
	}
}

// take hands out up to limit tickets. It reports whether there are only such
// as were handed out before; those it leaves where it shall be patient.
func (in *inbox) take(limit int, patient bool, into []queue.Delivery) ([]queue.Delivery, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	had := len(into)
	into, in.fresh = deal(in.fresh, limit, into)
	if !patient {
		into, in.behind = deal(in.behind, limit-(len(into)-had), into)
	}
	if len(into) > had && len(in.fresh)+len(in.behind) > 0 {
		in.rouse()
	}
	return into, len(in.behind) > 0
}

// deal hands out tickets of the leading parcels and returns the parcels that
// have some left.
func deal(parcels []*parcel, limit int, into []queue.Delivery) ([]queue.Delivery, []*parcel) {
	full := len(into) + limit
	for len(parcels) > 0 && len(into) < full {
		p := parcels[0]
		p.seen = true
		for ; p.next < len(p.tickets) && len(into) < full; p.next++ {
			if p.done == nil || !p.done[p.next] {
				into = append(into, queue.Delivery{
					Ticket: p.tickets[p.next], Tag: p.number<<partsBits | uint64(p.next), //nolint:gosec // never negative
				})
			}
		}
		if p.next < len(p.tickets) {
			break
		}
		parcels[0] = nil
		parcels = parcels[1:]
	}
	return into, parcels
}

// ack notes acknowledgements. It returns the link to tell, a tag up to which
// everything is done, and those done beyond it. Tags of lost links are unknown.
func (in *inbox) ack(deliveries []queue.Delivery) (k *link, all uint64, rest []uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	var whole []*parcel
	for i := range deliveries {
		p := in.parcels[deliveries[i].Tag>>partsBits]
		if p == nil || !p.ack(int(deliveries[i].Tag%partsMax)) {
			continue
		}
		in.tickets--
		if p.left == 0 {
			delete(in.parcels, p.number)
			delete(in.traces, p.id)
			whole = append(whole, p)
		}
	}
	for len(in.order) > 0 && in.order[0].left == 0 {
		if p := in.order[0]; !p.sent { // the broker must still know the tag
			k, all, p.sent = p.link, p.tag, true
		}
		in.order[0] = nil
		in.order = in.order[1:]
	}
	for _, p := range whole {
		if !p.sent {
			p.sent = true
			k, rest = p.link, append(rest, p.tag)
		}
	}
	return k, all, rest
}

// ack reports whether the ticket was waiting for it.
func (p *parcel) ack(part int) bool {
	if part >= p.next || (p.done != nil && p.done[part]) {
		return false
	}
	if p.done == nil {
		p.done = make([]bool, len(p.tickets))
	}
	p.done[part] = true
	p.left--
	return true
}

// holds returns how many tickets are not acknowledged, and how many messages
// ever came.
func (in *inbox) holds() (tickets, came int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.tickets, in.came
}

// clear forgets everything: its link is lost, and the messages come again.
func (in *inbox) clear() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.traces) > tracesMax {
		clear(in.traces)
	}
	for _, p := range in.parcels {
		if p.seen && p.id != "" {
			in.traces[p.id] = p.done
		}
	}
	clear(in.parcels)
	in.fresh, in.behind, in.order, in.tickets = nil, nil, nil, 0
}

// average is how many tickets messages have, of late.
type average struct {
	mu   sync.Mutex
	mean float64
}

// averageOver is how many messages the past counts as.
const averageOver = 32

func (a *average) add(tickets int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mean == 0 {
		a.mean = float64(tickets)
	}
	a.mean += (float64(tickets) - a.mean) / averageOver
}

// of returns how many tickets so many messages have.
func (a *average) of(messages int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(float64(messages)*max(1, a.mean) + 0.5)
}
