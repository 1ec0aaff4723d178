package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// Shelf implements stock.Supply.
func (s *Stock) Shelf(ctx context.Context, bucket shop.Bucket) (stock.Shelf, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	k := s.client.shelf(bucket).keys
	answer, err := s.client.run(ctx, s.client.scripts.shelf, []string{k.state, k.tickets}, []string{protocol})
	if err != nil {
		return stock.Shelf{}, fmt.Errorf("look at %s: %w", bucket, err)
	}
	if answer.IsNil() {
		return stock.Shelf{}, stock.ErrUnknown
	}
	parts, err := answer.ToArray()
	if err != nil || len(parts)%2 != 1 {
		return stock.Shelf{}, errors.Join(errAnswer, err)
	}
	return readShelf(parts)
}

// readShelf reads the number of tickets, and the state's fields and values.
func readShelf(parts []rueidis.RedisMessage) (stock.Shelf, error) {
	seen := stock.Shelf{Free: map[string]int64{}, Undecided: map[string]int64{}}
	tickets, err := parts[0].AsInt64()
	if err != nil {
		return stock.Shelf{}, errors.Join(errAnswer, err)
	}
	seen.Tickets = int(tickets)
	for i := 1; i < len(parts); i += 2 {
		field, nameErr := parts[i].ToString()
		text, err := parts[i+1].ToString()
		if err := errors.Join(nameErr, err); err != nil {
			return stock.Shelf{}, errors.Join(errAnswer, err)
		}
		if field == "rs" {
			seen.LastReclaim.SKU = text
			continue
		}
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return stock.Shelf{}, errors.Join(errAnswer, err)
		}
		note(&seen, field, value)
	}
	return seen, nil
}

// note takes one number over.
func note(seen *stock.Shelf, field string, value int64) {
	switch field {
	case "e":
		seen.Epoch = value
	case "g":
		seen.LastGrant = value
	case "m":
		seen.Mark = value
	case "rn":
		seen.LastReclaim.Number = value
	case "ru":
		seen.LastReclaim.Units = value
	default:
		if sku, ok := strings.CutPrefix(field, "f:"); ok {
			seen.Free[sku] = value
		}
		if sku, ok := strings.CutPrefix(field, "u:"); ok {
			seen.Undecided[sku] = value
		}
	}
}

// Start implements stock.Supply.
func (s *Stock) Start(ctx context.Context, bucket shop.Bucket, epoch int64) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	k := s.client.shelf(bucket).keys
	_, err := s.client.run(ctx, s.client.scripts.start, []string{k.state, k.tickets, k.buyers}, []string{protocol, decimal(epoch)})
	if err != nil {
		return fmt.Errorf("start epoch %d of %s: %w", epoch, bucket, err)
	}
	return nil
}

// Remember implements stock.Supply: it settles no ticket, and tells the mark.
func (s *Stock) Remember(ctx context.Context, bucket shop.Bucket, mark int64) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	k := s.client.shelf(bucket).keys
	_, err := s.client.run(ctx, s.client.scripts.settle, []string{k.state, k.tickets, k.buyers}, []string{protocol, decimal(mark), "0", ""})
	if err != nil {
		return fmt.Errorf("raise the mark of %s: %w", bucket, err)
	}
	return nil
}

// ApplyGrant implements stock.Supply.
func (s *Stock) ApplyGrant(ctx context.Context, bucket shop.Bucket, epoch int64, grant stock.Grant) error {
	if grant.Number < 1 || grant.Quantity < 1 {
		return fmt.Errorf("redis: grant %d to %s is of %d units of %q; number and units begin at 1",
			grant.Number, bucket, grant.Quantity, grant.SKU)
	}
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	answer, err := s.client.run(ctx, s.client.scripts.grant, []string{s.client.shelf(bucket).keys.state},
		[]string{protocol, decimal(epoch), decimal(grant.Number), grant.SKU, decimal(grant.Quantity)})
	if err != nil {
		return fmt.Errorf("apply grant %d to %s: %w", grant.Number, bucket, err)
	}
	return word(answer)
}

// Reclaim implements stock.Supply.
func (s *Stock) Reclaim(ctx context.Context, bucket shop.Bucket, epoch int64, reclaim stock.Reclaim) (stock.Reclaimed, error) {
	if reclaim.Number < 1 || reclaim.Quantity < 1 {
		return stock.Reclaimed{}, fmt.Errorf("redis: reclaim %d from %s is of %d units of %q; number and units begin at 1",
			reclaim.Number, bucket, reclaim.Quantity, reclaim.SKU)
	}
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	before := reclaim.Previous
	answer, err := s.client.run(ctx, s.client.scripts.reclaim, []string{s.client.shelf(bucket).keys.state}, []string{
		protocol, decimal(epoch), decimal(reclaim.Number), reclaim.SKU, decimal(reclaim.Quantity),
		decimal(before.Number), before.SKU, decimal(before.Units),
	})
	if err != nil {
		return stock.Reclaimed{}, fmt.Errorf("reclaim %d from %s: %w", reclaim.Number, bucket, err)
	}
	if !answer.IsArray() {
		return stock.Reclaimed{}, word(answer)
	}
	return readReclaimed(answer)
}

func readReclaimed(answer rueidis.RedisMessage) (stock.Reclaimed, error) {
	parts, err := answer.AsStrSlice()
	if err != nil || len(parts) != 3 {
		return stock.Reclaimed{}, errors.Join(errAnswer, err)
	}
	number, numberErr := strconv.ParseInt(parts[0], 10, 64)
	units, err := strconv.ParseInt(parts[2], 10, 64)
	if err := errors.Join(numberErr, err); err != nil {
		return stock.Reclaimed{}, errors.Join(errAnswer, err)
	}
	return stock.Reclaimed{Number: number, SKU: parts[1], Units: units}, nil
}

// word reads the answer of a supplier's script.
func word(answer rueidis.RedisMessage) error {
	text, err := answer.ToString()
	switch {
	case err != nil:
		return errors.Join(errAnswer, err)
	case text == "applied":
		return nil
	case text == "forked":
		return stock.ErrForked
	case text == "unknown":
		return stock.ErrUnknown
	}
	return errAnswer
}
