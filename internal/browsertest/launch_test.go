package browsertest

import (
	"fmt"
	"time"

	"github.com/chromedp/cdproto/emulation"
)

const launchID = "retro-85"

// launch is a sale document as it is published.
type launch struct {
	ID          string       `json:"id"`
	Title       string       `json:"title"`
	Description string       `json:"description"`
	OpensAt     time.Time    `json:"opens_at"`
	Hold        string       `json:"hold"`
	Limit       int64        `json:"limit_per_buyer"`
	Guests      bool         `json:"guests"`
	Challenge   string       `json:"challenge,omitempty"`
	SignInURL   string       `json:"sign_in_url,omitempty"`
	PageURL     string       `json:"page_url,omitempty"`
	PayURL      string       `json:"pay_url,omitempty"`
	Items       []launchItem `json:"items"`
}

type launchItem struct {
	SKU   string      `json:"sku"`
	Title string      `json:"title"`
	Stock int64       `json:"stock"`
	Price launchPrice `json:"price"`
}

type launchPrice struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// newLaunch is a sale that is open, with so many pairs of each size.
func newLaunch(pairs ...int64) launch {
	s := launch{
		ID: launchID, Title: "Retro High ’85", Description: "The 1985 high-top, rebuilt from the first pattern. One pair a person.",
		OpensAt: time.Now().Add(-time.Second), Hold: "10m", Limit: 1, Guests: true,
	}
	for i, stock := range pairs {
		size := fmt.Sprint(41 + i)
		s.Items = append(s.Items, launchItem{SKU: "eu-" + size, Title: "EU " + size, Stock: stock, Price: launchPrice{12900, "EUR"}})
	}
	return s
}

// in returns the look in another language, without movement.
func (l Look) in(language string) Look {
	l.Language, l.Still = language, true
	return l
}

func (l Look) resize(tab *Tab, width int64) error {
	return call(tab.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: l.Height, DeviceScaleFactor: 1, Mobile: width < 600,
	})
}
