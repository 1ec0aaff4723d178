package gossip

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// A message is layout, the sender's Self (8 bytes) and items, each a kind and
// its fields: numbers as varints, texts with their length before them. Who meets
// an item of a kind that it does not know stops there: a new kind goes in messages
// of its own, so that older nodes lose nothing else by it.
const layout = 2

const (
	itemDecision = 1
	itemMoved    = 2
	itemWant     = 3
	itemChanged  = 4
	itemPrint    = 6
	itemListed   = 5
	itemRumor    = 7
	itemSecret   = 8
)

func appendDecision(to []byte, d *ledger.Decision) []byte {
	o := &d.Order
	to = append(to, itemDecision)
	to = append(to, o.ID[:]...)
	to = binary.BigEndian.AppendUint64(to, d.Ticket.KeyPrint)
	for _, text := range [...]string{o.Sale, o.Buyer, o.SKU, string(o.Reason), o.Currency, o.Reference} {
		to = appendText(to, text)
	}
	to = binary.BigEndian.AppendUint64(to, d.Nonce)
	for _, number := range [...]int64{d.Row, o.Quantity, int64(o.Status), o.Amount, millis(o.CreatedAt), millis(o.PayBy), o.AsOf} {
		to = binary.AppendVarint(to, number)
	}
	return to
}

// appendPrint is what the others need to know of a decision for which nobody
// waits but here.
func appendPrint(to []byte, d *ledger.Decision) []byte {
	to = appendText(append(to, itemPrint), d.Order.Sale)
	to = append(to, d.Order.ID[:]...)
	to = binary.BigEndian.AppendUint64(to, d.Ticket.KeyPrint)
	return binary.AppendVarint(to, d.Row)
}

func appendWant(to []byte, want *Want) []byte {
	to = appendText(append(to, itemWant), want.Bucket.Sale)
	to = binary.AppendVarint(to, int64(want.Bucket.Number))
	to = appendText(to, want.SKU)
	return binary.AppendVarint(to, want.Quantity)
}

func appendRumor(to []byte, rumor *gate.Rumor) []byte {
	to = binary.BigEndian.AppendUint64(append(to, itemRumor), rumor.Node)
	for _, text := range [...]string{rumor.Sale, rumor.Buyer, string(rumor.Client.AsSlice())} {
		to = appendText(to, text)
	}
	to = append(to, byte(rumor.Signals))
	for _, number := range [...]uint64{uint64(rumor.First), uint64(rumor.Last), rumor.Times, rumor.Solved} { //nolint:gosec // read back the same
		to = binary.BigEndian.AppendUint64(to, number)
	}
	return to
}

func appendSecret(to []byte, secret Secret) []byte {
	return binary.BigEndian.AppendUint64(appendText(append(to, itemSecret), secret.Name), secret.Print)
}

func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

// millis is a time as the ledger keeps it; 0 is no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// reader reads a message from its beginning. After the first fault it is bad
// and yields nothing more.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) number() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.take(size)
	return n
}

func (r *reader) text() string { return r.textLike("") }

// textLike reads a text, and takes the one given where it is the same: most
// decisions of a message share all but the buyer.
func (r *reader) textLike(known string) string {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > messageMax {
		r.bad = true
		return ""
	}
	r.take(size)
	if text := r.take(int(n)); string(text) != known {
		return string(text)
	}
	return known
}

// decision reads one; before is the one before it in the message.
func (r *reader) decision(before *ledger.Decision) ledger.Decision {
	var d ledger.Decision
	copy(d.Order.ID[:], r.take(len(d.Order.ID)))
	d.Ticket.Claim, d.Ticket.KeyPrint = d.Order.ID, r.uint64()
	o, b := &d.Order, &before.Order
	o.Sale, o.Buyer, o.SKU = r.textLike(b.Sale), r.text(), r.textLike(b.SKU)
	o.Reason, o.Currency, o.Reference = shop.Code(r.textLike(string(b.Reason))), r.textLike(b.Currency), r.text()
	d.Nonce = r.uint64()
	d.Row = r.number()
	o.Quantity = r.number()
	o.Status = shop.Status(r.number()) //nolint:gosec // written from a Status; another number is none
	o.Amount = r.number()
	o.CreatedAt, o.PayBy = timeOf(r.number()), timeOf(r.number())
	o.AsOf = r.number()
	return d
}

// print reads one; before is the sale of the one before it.
func (r *reader) print(before string) (sale string, print ledger.Print) {
	sale = r.textLike(before)
	copy(print.Claim[:], r.take(len(print.Claim)))
	print.KeyPrint = r.uint64()
	print.Row = r.number()
	return sale, print
}

func (r *reader) want() Want {
	var want Want
	want.Bucket.Sale = r.text()
	want.Bucket.Number = int(r.number())
	want.SKU, want.Quantity = r.text(), r.number()
	return want
}

func (r *reader) rumor() gate.Rumor {
	rumor := gate.Rumor{Node: r.uint64()}
	rumor.Sale, rumor.Buyer = r.text(), r.text()
	rumor.Client, _ = netip.AddrFromSlice([]byte(r.text())) // one that is unknown has no bytes
	rumor.Signals = gate.Signals(r.byte())
	rumor.First, rumor.Last = int64(r.uint64()), int64(r.uint64()) //nolint:gosec // written from these
	rumor.Times, rumor.Solved = r.uint64(), r.uint64()
	return rumor
}
