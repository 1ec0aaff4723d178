package redis

import (
	"strconv"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// slots is how many parts Redis Cluster cuts its keys into.
const slots = 16384

// keys names what one bucket has in Redis. All lie in one slot.
type keys struct {
	state   string // S: numbers, epoch, free and undecided units
	tickets string // T: claim → ticket
	buyers  string // U: buyer → undecided units, and live ones where told
	stream  string // Q: new tickets, one entry per call
	depth   string // how many tickets are in Q
}

// keysOf names the keys of a ledger's bucket.
func keysOf(ledger string, bucket shop.Bucket) keys {
	prefix := "doorbuster:{" + tag(ledger, bucket) + "}:"
	return keys{state: prefix + "s", tickets: prefix + "t", buyers: prefix + "u", stream: prefix + "q", depth: prefix + "d"}
}

// tagTries bounds the search for a tag. Each try hits the slot with a chance
// of 1 in 16384, so it ends before; a tag beside its slot would do no harm.
const tagTries = 1 << 19

// tag returns the hash tag of a bucket: its name, and the first number that
// brings it to its slot.
func tag(ledger string, bucket shop.Bucket) string {
	name := ledger + "/" + bucket.Sale + "/" + strconv.Itoa(bucket.Number) + "."
	so, slot := crc16(0, name), slotOf(bucket.Number)
	var digits [20]byte
	for n := range int64(tagTries) {
		suffix := strconv.AppendInt(digits[:0], n, 10)
		if crc16(so, suffix)%slots == slot {
			return name + string(suffix)
		}
	}
	return name
}

// slotOf says where a sale's n-th bucket lies. The first sixteen places are
// such that for every B up to 16 the first B buckets lie in different B-ths of
// the slots (17 is the most for which there are such), so that masters with
// equal shares have equally many, however many they are. The others follow the
// golden section, which spreads nearly as well for ever.
func slotOf(number int) uint16 {
	first := [...]int{
		15872, 7505, 3711, 11965, 1934, 9460, 6051, 14121,
		512, 10728, 4861, 12990, 8465, 2706, 14814, 6656,
	}
	const golden = 10126 // of 16384
	if number < len(first) {
		return uint16(first[number]) //nolint:gosec // below 16384
	}
	return uint16(number * golden % slots)
}

// crc16 continues the checksum by which Redis Cluster places keys (XMODEM).
func crc16[T string | []byte](sum uint16, text T) uint16 {
	const polynomial = 0x1021
	for i := range len(text) {
		sum ^= uint16(text[i]) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ polynomial
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}
