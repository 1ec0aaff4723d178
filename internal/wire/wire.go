// Package wire writes what both doors say: orders, problems and times, as
// JSON, appended without reflection or garbage.
package wire

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// AppendOrder appends the order as the public contract has it. Operators also
// see its buyer and reference.
func AppendOrder(to []byte, order *shop.Order, operator bool) []byte {
	to = append(to, `{"id":`...)
	to = AppendID(to, order.ID)
	to = append(to, `,"sale":`...)
	to = AppendString(to, order.Sale)
	if operator {
		to = append(to, `,"buyer":`...)
		to = AppendString(to, order.Buyer)
	}
	to = append(to, `,"sku":`...)
	to = AppendString(to, order.SKU)
	to = append(to, `,"quantity":`...)
	to = strconv.AppendInt(to, order.Quantity, 10)
	to = append(to, `,"status":"`...)
	to = append(to, order.Status.String()...)
	if order.Status == shop.Refused {
		to = append(to, `","reason":"`...)
		to = append(to, order.Reason...)
	}
	to = append(to, `","amount":`...)
	to = strconv.AppendInt(to, order.Amount, 10)
	to = append(to, `,"currency":`...)
	to = AppendString(to, order.Currency)
	to = append(to, `,"created_at":`...)
	to = AppendTime(to, order.CreatedAt)
	to = append(to, `,"pay_by":`...)
	to = AppendTime(to, order.PayBy)
	to = append(to, `,"as_of":`...)
	to = strconv.AppendInt(to, order.AsOf, 10)
	if operator {
		to = append(to, `,"reference":`...)
		to = appendOptional(to, order.Reference)
	}
	return append(to, '}')
}

// AppendID appends an order's id as a JSON string.
func AppendID(to []byte, id shop.ClaimID) []byte {
	to = append(to, '"')
	to = hex.AppendEncode(to, id[:])
	return append(to, '"')
}

// AppendTime appends a time as a JSON string in RFC 3339, UTC, with
// milliseconds; the zero time as null.
func AppendTime(to []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(to, "null"...)
	}
	to = append(to, '"')
	to = AppendMoment(to, t)
	return append(to, '"')
}

// AppendMoment appends a time like AppendTime, without quotes.
func AppendMoment(to []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	to = appendDigits(to, year, 4)
	to = appendDigits(append(to, '-'), int(month), 2)
	to = appendDigits(append(to, '-'), day, 2)
	to = appendDigits(append(to, 'T'), hour, 2)
	to = appendDigits(append(to, ':'), minute, 2)
	to = appendDigits(append(to, ':'), second, 2)
	to = appendDigits(append(to, '.'), t.Nanosecond()/int(time.Millisecond), 3)
	return append(to, 'Z')
}

// appendDigits appends the last width digits of n.
func appendDigits(to []byte, n, width int) []byte {
	to = append(to, "0000"[:width]...)
	for i := len(to) - 1; n > 0 && width > 0; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
		width--
	}
	return to
}

func appendOptional(to []byte, s string) []byte {
	if s == "" {
		return append(to, "null"...)
	}
	return AppendString(to, s)
}

// AppendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD;
// line separators are escaped, so that the text may stand in a script.
func AppendString(to []byte, s string) []byte {
	to = append(to, '"')
	done := 0
	for i := 0; i < len(s); {
		if plain(s[i]) {
			i++
			continue
		}
		char, size := utf8.DecodeRuneInString(s[i:])
		if escape := escapeOf(char, size); escape != "" {
			to = append(to, s[done:i]...)
			to = append(to, escape...)
			done = i + size
		} else if char < ' ' {
			to = append(to, s[done:i]...)
			to = append(to, `\u00`...)
			to = hex.AppendEncode(to, []byte{s[i]})
			done = i + size
		}
		i += size
	}
	to = append(to, s[done:]...)
	return append(to, '"')
}

func plain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// escapeOf returns how a character is written, or nothing where it stands for
// itself or has no short form.
func escapeOf(char rune, size int) string {
	switch char {
	case '"':
		return `\"`
	case '\\':
		return `\\`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	case '\u2028':
		return `\u2028`
	case '\u2029':
		return `\u2029`
	case utf8.RuneError:
		if size == 1 {
			return `\ufffd`
		}
	}
	return ""
}
