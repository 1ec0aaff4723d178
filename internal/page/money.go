package page

import (
	"strconv"
	"strings"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// minorDigits returns how many decimal digits a currency's minor unit has
// (ISO 4217, list one).
func minorDigits(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}

// PlainMoney writes an amount for readers without JavaScript: "129.00 EUR".
func PlainMoney(money shop.Money) string {
	if money.Amount == 0 {
		return "Free"
	}
	text := strconv.FormatInt(money.Amount, 10)
	if digits := minorDigits(money.Currency); digits > 0 {
		if short := digits + 1 - len(text); short > 0 {
			text = strings.Repeat("0", short) + text
		}
		text = text[:len(text)-digits] + "." + text[len(text)-digits:]
	}
	return text + " " + money.Currency
}
