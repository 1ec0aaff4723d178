package rabbitmq

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/doorbuster/doorbuster/internal/queue"
)

func wantDead(t testing.TB, ch *amqp.Channel, b *Broker, want int) {
	t.Helper()
	until(t, fmt.Sprintf("%d messages are dead", want), func() error {
		q, err := ch.QueueDeclarePassive(b.names.dead, true, false, false, false, nil)
		must(t, err)
		if q.Messages != want {
			return fmt.Errorf("%d are", q.Messages)
		}
		return nil
	})
}

func TestPoisonEndsInTheDeadLetterQueueOnceAndOthersGoOn(t *testing.T) {
	b := open(t, Options{Prefetch: 2})
	publish(t, b, 0, 10)
	ch := operator(t)
	bad := [][]byte{nil, []byte("{}"), queue.Pack(nil, nil), queue.Pack(nil, tickets(0, 3))[:50]}
	for _, body := range bad {
		must(t, ch.Publish(b.names.tickets, b.names.tickets, true, false, amqp.Publishing{Body: body, DeliveryMode: amqp.Persistent}))
	}
	untilPublished(t, b, 10)
	drain(t, b, 11)
	wantDead(t, ch, b, len(bad))
	depth, err := b.Depth(t.Context())
	must(t, err)
	if depth != 0 || b.Poisoned() != int64(len(bad)) {
		t.Errorf("depth %d, %d poisoned; want 0 and %d", depth, b.Poisoned(), len(bad))
	}
	if said := strings.Join(b.Warnings(), " "); !strings.Contains(said, b.names.dead) {
		t.Errorf("warnings %q do not name queue %s", said, b.names.dead)
	}
	redeliver(t, b)
	untilPublished(t, b, 11)
	drain(t, b, 1)
	wantDead(t, ch, b, len(bad))
}

func TestAMessageThatKeepsComingAgainIsPutAside(t *testing.T) {
	b := open(t, Options{})
	publish(t, b, 0, 1)
	ch := operator(t)
	for range deliveriesMax + 1 {
		until(t, "the message is there", func() error {
			d, ok, err := ch.Get(b.names.tickets, false)
			must(t, err)
			if !ok {
				return errors.New("it is not")
			}
			return d.Nack(false, true)
		})
	}
	wantDead(t, ch, b, 1)
	publish(t, b, 1, 2)
	if came := drain(t, b, 1); came[1] != 1 {
		t.Errorf("came: %v, want ticket 1", came)
	}
}

func TestAnAddressThatCannotBeReadShowsNoPassword(t *testing.T) {
	for _, address := range []string{"amqp://u:secret@host:port/", "http://u:secret@host/", "amqp://u:secret@ho st/", "amqp://u:secret\x7f@host/", "amqp://u:secret", "amqp://u:secret/x@host/"} {
		b, err := Open(t.Context(), Options{URL: address})
		if err == nil {
			must(t, b.Close())
			t.Errorf("%q is taken", address)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is shown: %v", err)
		}
	}
}

func TestAnAddressThatIsUnsafeIsSaid(t *testing.T) {
	for address, want := range map[string]int{
		"amqp://guest:guest@localhost/": 0, "amqp://u:p@127.0.0.1/": 0, "amqp://u:p@[::1]/": 0,
		"amqps://u:p@mq.shop/": 0, "amqp://u:p@mq.shop/": 1, "amqps://mq.shop/": 1, "amqp://guest:x@10.0.0.1/": 2,
	} {
		if got := risks(address); len(got) != want {
			t.Errorf("%s: %q, want %d sentences", address, got, want)
		}
	}
}

func TestWhatKeepsTheBrokerAwayIsSaid(t *testing.T) {
	wrong := open(t, Options{URL: strings.Replace(server.URL(), "doorbuster:", "doorbuster:secret", 1)})
	ch := operator(t)
	classic := fmt.Sprint("shop-", shops.Add(1))
	_, err := ch.QueueDeclare(namesOf(classic).tickets, true, false, false, false, nil)
	must(t, err)
	for want, b := range map[string]*Broker{
		"username or password": wrong,
		"PRECONDITION_FAILED":  open(t, Options{Name: classic}),
	} {
		until(t, "it is said", func() error {
			said := strings.Join(b.Warnings(), " ")
			if strings.Contains(said, "secret") {
				t.Errorf("the password is shown: %s", said)
			}
			if !strings.Contains(said, want) {
				return fmt.Errorf("%q says nothing of %q", said, want)
			}
			return nil
		})
	}
}
