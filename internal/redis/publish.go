package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Publisher puts tickets into the streams of their buckets, for whoever has
// some without having reserved them.
type Publisher struct{ client *Client }

var _ queue.Publisher = (*Publisher)(nil)

// Publisher returns the writing end of the queue.
func (c *Client) Publisher() *Publisher { return &Publisher{client: c} }

// Publish implements queue.Publisher.
func (p *Publisher) Publish(ctx context.Context, tickets []shop.Ticket) error {
	for len(tickets) > 0 {
		count := 1
		for count < min(len(tickets), batchMax) && tickets[count].Bucket == tickets[0].Bucket {
			count++
		}
		if err := p.publish(ctx, tickets[:count]); err != nil {
			return fmt.Errorf("publish %d tickets to %s: %w", count, tickets[0].Bucket, err)
		}
		tickets = tickets[count:]
	}
	return nil
}

// publish writes tickets of one bucket as one entry.
func (p *Publisher) publish(ctx context.Context, tickets []shop.Ticket) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	text := make([]byte, 0, len(tickets)*ticketSize)
	for i := range tickets {
		if err := sound(tickets[i].SKU, tickets[i].Buyer); err != nil {
			return err
		}
		text = appendTicket(append(text, tickets[i].Claim[:]...), &tickets[i])
	}
	c, s := p.client, p.client.shelf(tickets[0].Bucket)
	_, err := c.run(ctx, c.scripts.publish, []string{s.keys.stream, s.keys.depth}, []string{string(text), strconv.Itoa(len(tickets))})
	c.ring(s)
	return err
}
