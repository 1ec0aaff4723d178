package web

import (
	"strconv"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// appendMember appends a further member of an object.
func appendMember(to []byte, name, value string) []byte {
	return wire.AppendString(appendName(to, name), value)
}

func appendNumber(to []byte, name string, value int64) []byte {
	return strconv.AppendInt(appendName(to, name), value, 10)
}

func appendTruth(to []byte, name string, value bool) []byte {
	return strconv.AppendBool(appendName(to, name), value)
}

func appendName(to []byte, name string) []byte {
	to = append(to, `,"`...)
	to = append(to, name...)
	return append(to, `":`...)
}

// appendTimes appends where the sale stands and when that changes.
func appendTimes(to []byte, notice *gate.Notice) []byte {
	to = appendMember(to, "phase", notice.Phase.String())
	to = wire.AppendTime(appendName(to, "opens_at"), notice.Sale.OpensAt)
	return wire.AppendTime(appendName(to, "closes_at"), notice.Sale.ClosesAt)
}

func appendItem(to []byte, item *shop.Item, state gate.State) []byte {
	to = append(to, `{"sku":`...)
	to = wire.AppendString(to, item.SKU)
	to = appendMember(to, "title", item.Title)
	to = append(to, `,"price":{"amount":`...)
	to = strconv.AppendInt(to, item.Price.Amount, 10)
	to = appendMember(to, "currency", item.Price.Currency)
	to = append(to, '}')
	to = appendMember(to, "state", state.String())
	return append(to, '}')
}

// appendListed appends a sale as the list of sales has it.
func appendListed(to []byte, notice *gate.Notice) []byte {
	to = append(to, `{"id":`...)
	to = wire.AppendString(to, notice.Sale.ID)
	to = appendMember(to, "title", notice.Sale.Title)
	to = appendTimes(to, notice)
	return append(to, '}')
}

// appendOrders appends a buyer's orders.
func appendOrders(to []byte, orders []shop.Order) []byte {
	to = append(to, `{"orders":[`...)
	for i := range orders {
		if i > 0 {
			to = append(to, ',')
		}
		to = wire.AppendOrder(to, &orders[i], false)
	}
	return append(to, "]}"...)
}
