package gate

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// State is how much of an item a buyer may hope for; never a number.
type State uint8

// The states of an item.
const (
	Available State = iota
	Low             // under a tenth of the stock is free
	Gone            // nothing is free; units may come back
)

func (s State) String() string {
	switch s {
	case Available:
		return "available"
	case Low:
		return "low"
	case Gone:
		return "sold_out"
	}
	return "unknown"
}

// Notice is what the door shows of one sale: a snapshot, never changed once
// it is on the board.
type Notice struct {
	Sale  shop.Sale
	Phase shop.Phase
	Items []ItemNotice // in the order of Sale.Items

	// No is what every new ask meets, whatever its SKU: not open, paused,
	// closed, sold out, or halted. nil: there is hope.
	No *shop.Refusal

	// Halted says why the sale sells nothing although its times would let it;
	// empty where all is well.
	Halted string

	// Lost says that the ledger is older than what was promised of the sale: what
	// it says of orders is not to be believed.
	Lost bool

	// Supplied says that every unit that the ledger granted is in the stock
	// and that the phase is the one that the sale's times ask for.
	Supplied bool

	// Over says that the sale is closed, and that its stock was retired: there
	// will be no more tickets, and those that were are decided.
	Over bool

	Buckets int   // parts of the sale's stock
	AsOf    int64 // the ledger's seq that this was read at
	index   map[string]int
}

// ItemNotice is one item on the board.
type ItemNotice struct {
	SKU   string
	State State
	Free  int64         // units that nobody holds; for the house, never for buyers
	No    *shop.Refusal // what every new ask for it meets; nil: there is hope
}

// Item returns the item with that SKU and its notice.
func (n *Notice) Item(sku string) (*shop.Item, *ItemNotice, bool) {
	i, ok := n.index[sku]
	if !ok {
		return nil, nil, false
	}
	return &n.Sale.Items[i], &n.Items[i], true
}

// Board bears a notice for every sale. Reading it costs two atomic loads and
// takes no lock.
type Board struct {
	notices   atomic.Pointer[map[string]*Notice]
	suspended atomic.Pointer[shop.Refusal]
	lost      atomic.Bool // some notice says so
	posting   sync.Mutex  // writers only
}

// NewBoard returns an empty board.
func NewBoard() *Board {
	b := &Board{}
	b.notices.Store(&map[string]*Notice{})
	return b
}

// Notice returns the sale's notice, and false for an unknown sale.
func (b *Board) Notice(sale string) (*Notice, bool) {
	n, ok := (*b.notices.Load())[sale]
	return n, ok
}

// Notices returns every notice, by the sale's id.
func (b *Board) Notices() []*Notice {
	all := slices.Collect(maps.Values(*b.notices.Load()))
	slices.SortFunc(all, func(a, b *Notice) int { return strings.Compare(a.Sale.ID, b.Sale.ID) })
	return all
}

// Post puts notices up, each in the place of its sale's earlier one. The
// caller changes none of them afterwards.
func (b *Board) Post(notices ...*Notice) {
	b.posting.Lock()
	defer b.posting.Unlock()
	next := maps.Clone(*b.notices.Load())
	for _, n := range notices {
		n.index = make(map[string]int, len(n.Sale.Items))
		for i := range n.Sale.Items {
			n.index[n.Sale.Items[i].SKU] = i
		}
		next[n.Sale.ID] = n
	}
	lost := false
	for _, n := range next {
		lost = lost || n.Lost
	}
	b.notices.Store(&next)
	b.lost.Store(lost)
}

// Lost reports whether the ledger has lost some of the sale's history; for an
// empty sale, of any sale's.
func (b *Board) Lost(sale string) bool {
	if !b.lost.Load() {
		return false
	}
	n, ok := b.Notice(sale)
	return sale == "" || (ok && n.Lost)
}

// Suspend makes every new ask of every sale meet the refusal, because the
// machine cannot sell (no room on its disk). It is not the operator's pause.
func (b *Board) Suspend(no shop.Refusal) { b.suspended.Store(&no) }

// Resume ends the suspension.
func (b *Board) Resume() { b.suspended.Store(nil) }

// Suspended returns what every ask meets now, or nil.
func (b *Board) Suspended() *shop.Refusal { return b.suspended.Load() }
