package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// deliveriesMax is how often a message may come again before it is put aside.
// Only a lost connection brings one again, so a message that comes so often
// has most likely ended those that read it.
const deliveriesMax = 20

// deadMax bounds the dead-letter queue; the oldest make room. What lies there
// is for people to look at: its tickets stand in the stock's outbox.
const deadMax = 100_000

// names are those of queues and exchanges. Nodes of two versions share them,
// and a queue cannot be declared twice with different arguments: whoever
// changes one of those below raises the number.
type names struct{ tickets, dead string }

func namesOf(prefix string) names {
	return names{tickets: prefix + ".tickets.1", dead: prefix + ".dead.1"}
}

// declare makes sure that queues, exchanges and bindings are there. An
// exchange bears the name of its only queue.
//
// A broker that is killed within half a second of a queue's first declaration
// may come back with the queue, but without a leader for it
// (github.com/rabbitmq/rabbitmq-server/issues/15725). Until an operator
// triggers an election, tickets reach the ledger by the sweeper alone.
func (n names) declare(ch *amqp.Channel) error {
	for _, q := range []struct {
		name      string
		arguments amqp.Table
	}{
		{n.dead, amqp.Table{ // first: what dies finds its place
			amqp.QueueTypeArg:     amqp.QueueTypeQuorum,
			amqp.QueueMaxLenArg:   int64(deadMax),
			amqp.QueueOverflowArg: amqp.QueueOverflowDropHead,
		}},
		{n.tickets, amqp.Table{
			amqp.QueueTypeArg:           amqp.QueueTypeQuorum,
			"x-delivery-limit":          int64(deliveriesMax),
			"x-dead-letter-exchange":    n.dead,
			"x-dead-letter-routing-key": n.dead,
			"x-dead-letter-strategy":    "at-least-once", // which needs the next
			amqp.QueueOverflowArg:       amqp.QueueOverflowRejectPublish,
		}},
	} {
		if err := ch.ExchangeDeclare(q.name, amqp.ExchangeDirect, true, false, false, false, nil); err != nil {
			return fmt.Errorf("declare exchange %s: %w", q.name, err)
		}
		if _, err := ch.QueueDeclare(q.name, true, false, false, false, q.arguments); err != nil {
			return fmt.Errorf("declare queue %s: %w", q.name, err)
		}
		if err := ch.QueueBind(q.name, q.name, q.name, false, nil); err != nil {
			return fmt.Errorf("bind queue %s: %w", q.name, err)
		}
	}
	return nil
}
