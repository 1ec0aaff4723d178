package main

import (
	"context"
	"fmt"
)

// scale is E8: what a refusal and an order cost when something grows
// thousandfold. What lies between is what make scale draws.
func (b *bench) scale(ctx context.Context) ([]line, error) {
	var lines []line
	for _, d := range b.sold() {
		d = d.ends()
		grown, err := b.grow(ctx, d)
		if err != nil {
			return lines, err
		}
		for i, cost := range d.costs {
			least, most := grown[i][0], grown[i][1]
			lines = append(lines, line{
				what: fmt.Sprintf("%s, %s %s → %s", cost.What, d.axis, count(d.sizes[0]), count(d.sizes[1])),
				goal: atMost(1.2, "×"), value: ratio(most, least), figure: fmt.Sprintf("%s → %s %s", least, most, cost.Unit),
			})
		}
	}
	return lines, nil
}
