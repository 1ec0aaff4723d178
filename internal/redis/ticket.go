package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// A ticket in Redis is its length (2 bytes, all of it), time (8, Unix
// nanoseconds; 0: none), key print (8), nonce (8), quantity (8), the length of
// its SKU (1), SKU, epoch (8), seq (8) and buyer; numbers are big-endian. From
// the nonce on it is what must be the same for a settlement. The scripts know
// these places. In the stream its claim (16) stands before it.
const (
	headSize   = 2 + 8 + 8 + 8
	coreAt     = headSize - 8
	skuAt      = headSize + 8 + 1
	stampSize  = 8 + 8
	ticketMin  = skuAt + stampSize
	claimSize  = len(shop.ClaimID{})
	skuMax     = 255     // its length is one byte
	buyerMax   = 1 << 12 // far above what a token may name
	numberMax  = 1 << 53 // a script's numbers are doubles
	ticketSize = skuAt + 64 + stampSize + 128
)

var errTicket = errors.New("not a ticket")

// appendHead writes what is a ticket's own.
func appendHead(b []byte, t *shop.Ticket) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(ticketMin+len(t.SKU)+len(t.Buyer))) //nolint:gosec // both are bounded by sound
	b = binary.BigEndian.AppendUint64(b, nanoseconds(t.At))
	b = binary.BigEndian.AppendUint64(b, t.KeyPrint)
	return binary.BigEndian.AppendUint64(b, t.Nonce)
}

// appendWish writes what many tickets share.
func appendWish(b []byte, sku string, quantity int64) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(quantity)) //nolint:gosec // as bits
	return append(append(b, byte(len(sku))), sku...)       //nolint:gosec // bounded by sound
}

func appendTicket(b []byte, t *shop.Ticket) []byte {
	b = appendWish(appendHead(b, t), t.SKU, t.Quantity)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Epoch)) //nolint:gosec // as bits
	b = binary.BigEndian.AppendUint64(b, uint64(t.Seq))   //nolint:gosec // as bits
	return append(b, t.Buyer...)
}

// sound reports whether a SKU and a buyer fit into a ticket.
func sound(sku, buyer string) error {
	if len(sku) > skuMax || len(buyer) > buyerMax {
		return fmt.Errorf("redis: a SKU of %d bytes and a buyer of %d; they may have %d and %d", len(sku), len(buyer), skuMax, buyerMax)
	}
	return nil
}

// readTicket reads one whole ticket.
func readTicket(text string, claim shop.ClaimID, bucket shop.Bucket) (shop.Ticket, error) {
	if len(text) < ticketMin || len(text) != int(text[0])<<8|int(text[1]) {
		return shop.Ticket{}, errTicket
	}
	buyerAt := ticketMin + int(text[skuAt-1])
	if len(text) < buyerAt {
		return shop.Ticket{}, errTicket
	}
	t := shop.Ticket{
		Claim: claim, Bucket: bucket,
		At:       moment(number(text[2:])),
		KeyPrint: number(text[10:]),
		Nonce:    number(text[coreAt:]),
		Quantity: int64(number(text[headSize:])),                  //nolint:gosec // as bits
		Epoch:    int64(number(text[buyerAt-stampSize:])),         //nolint:gosec // as bits
		Seq:      int64(number(text[buyerAt-stampSize/2:])),       //nolint:gosec // as bits
		SKU:      string([]byte(text[skuAt : buyerAt-stampSize])), // no part of a bigger buffer
		Buyer:    string([]byte(text[buyerAt:])),
	}
	return t, nil
}

// readEntry reads an entry of the stream: tickets one behind the other, or a
// call of the reserve script as it was asked and answered.
func readEntry(fields map[string]string, bucket shop.Bucket) ([]shop.Ticket, error) {
	if text, ok := fields["t"]; ok {
		return readTickets(text, bucket)
	}
	return readCall(fields, bucket)
}

// readCall makes the tickets of those who were answered with a new one.
func readCall(fields map[string]string, bucket shop.Bucket) ([]shop.Ticket, error) {
	answers, kinds, names, heads := fields["a"], fields["k"], fields["n"], fields["h"]
	n := len(answers)
	bodies, err := cutBodies(fields["b"])
	if err != nil || len(fields["s"]) != stampSize || len(kinds) != n || len(fields["c"]) != n*claimSize ||
		len(fields["l"]) != n*2 || len(heads) != n*headSize {
		return nil, errTicket
	}
	epoch, seq := number(fields["s"]), number(fields["s"][8:])
	tickets := make([]shop.Ticket, 0, n)
	var text []byte
	for i := range n {
		size := int(fields["l"][2*i])<<8 | int(fields["l"][2*i+1])
		if len(names) < size || int(kinds[i]) >= len(bodies) {
			return nil, errTicket
		}
		name := names[:size]
		names = names[size:]
		if answers[i] != 'n' {
			continue
		}
		seq++
		text = append(append(text[:0], heads[i*headSize:(i+1)*headSize]...), bodies[kinds[i]]...)
		text = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(text, epoch), seq)
		claim := shop.ClaimID([]byte(fields["c"][i*claimSize : (i+1)*claimSize]))
		ticket, err := readTicket(string(append(text, name...)), claim, bucket)
		if err != nil {
			return nil, err
		}
		tickets = append(tickets, ticket)
	}
	if len(tickets) == 0 {
		return nil, errTicket
	}
	return tickets, nil
}

// cutBodies takes apart what appendWish wrote again and again.
func cutBodies(text string) ([]string, error) {
	var bodies []string
	for len(text) > 0 {
		if len(text) < 9 || len(text) < 9+int(text[8]) {
			return nil, errTicket
		}
		size := 9 + int(text[8])
		bodies, text = append(bodies, text[:size]), text[size:]
	}
	return bodies, nil
}

// readTickets reads tickets with their claims.
func readTickets(text string, bucket shop.Bucket) ([]shop.Ticket, error) {
	tickets := make([]shop.Ticket, 0, len(text)/ticketSize+1)
	for len(text) > 0 {
		if len(text) < claimSize+ticketMin {
			return nil, errTicket
		}
		claim := shop.ClaimID([]byte(text[:claimSize]))
		size := int(text[claimSize])<<8 | int(text[claimSize+1])
		text = text[claimSize:]
		if len(text) < size {
			return nil, errTicket
		}
		ticket, err := readTicket(text[:size], claim, bucket)
		if err != nil {
			return nil, err
		}
		tickets = append(tickets, ticket)
		text = text[size:]
	}
	if len(tickets) == 0 {
		return nil, errTicket
	}
	return tickets, nil
}

func number(text string) uint64 {
	return uint64(text[7]) | uint64(text[6])<<8 | uint64(text[5])<<16 | uint64(text[4])<<24 |
		uint64(text[3])<<32 | uint64(text[2])<<40 | uint64(text[1])<<48 | uint64(text[0])<<56
}

func nanoseconds(at time.Time) uint64 {
	if at.IsZero() {
		return 0
	}
	return uint64(at.UnixNano())
}

func moment(nanoseconds uint64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(nanoseconds)).UTC() //nolint:gosec // as bits
}

// ticketOf is the ticket that an ask becomes.
func ticketOf(ask *stock.Ask, bucket shop.Bucket, at time.Time) shop.Ticket {
	return shop.Ticket{
		Claim: ask.Claim, Bucket: bucket, Nonce: ask.Nonce, KeyPrint: ask.KeyPrint,
		Buyer: ask.Buyer, SKU: ask.SKU, Quantity: ask.Quantity, At: at,
	}
}
