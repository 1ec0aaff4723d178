package browsertest

import "fmt"

// Win opens a sale's page, waits until it is open, buys what is chosen and
// returns the order's id. The address may bear the buyer's #token=….
func (t *Tab) Win(address string) (string, error) {
	if err := t.Open(address); err != nil {
		return "", err
	}
	if err := t.Until(`!document.querySelector("#buy").disabled`); err != nil {
		return "", err
	}
	if err := t.Press("#buy"); err != nil {
		return "", err
	}
	return t.Won()
}

// Won waits for an order that is the buyer's and returns its id.
func (t *Tab) Won() (string, error) {
	if err := t.Until(`/^(awaiting_payment|paid)$/.test(document.querySelector("#result").dataset.status)`); err != nil {
		return "", err
	}
	return Eval[string](t, `document.querySelector("#order-id").textContent`)
}

// Pay presses the pay button, lets pay do what the cashier's page asks for, and
// waits for the paid order on the way back.
func (t *Tab) Pay(pay func(*Tab) error) error {
	page, err := Eval[string](t, `location.pathname`)
	if err != nil {
		return err
	}
	if err := t.Press("#pay"); err != nil {
		return err
	}
	if err := t.Until(fmt.Sprintf(`location.pathname !== %q && document.readyState === "complete"`, page)); err != nil {
		return err
	}
	if err := pay(t); err != nil {
		return err
	}
	return t.Status("paid")
}
