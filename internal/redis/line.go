package redis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"

	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/pause"
)

// Line tells all nodes of a ledger at once. A message may be lost, and in a
// cluster two may change places: whoever hears of a gap reads the truth again.
type Line struct{ client *Client }

// Line returns the ledger's line between nodes.
func (c *Client) Line() *Line { return &Line{client: c} }

func (l *Line) channel() string { return "doorbuster:" + l.client.options.Ledger + ":line" }

// Send says something to every node that hears, this one included. An error
// means that some may have heard it.
func (l *Line) Send(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	_, err := l.client.do(ctx, func(ctx context.Context) rueidis.RedisResult {
		b := l.client.conn.B()
		return l.client.conn.Do(ctx, b.Publish().Channel(l.channel()).Message(string(message)).Build())
	})
	return err
}

// hearFirst and hearLast bound the pause before the line is picked up again.
const (
	hearFirst = 20 * time.Millisecond
	hearLast  = time.Second
)

// Hear calls hear with every message until ctx ends, and gap each time that
// the line was picked up, first of all at the beginning: what was sent before
// may be missing. Neither is called by two at once. It returns ctx's error.
func (l *Line) Hear(ctx context.Context, hear func([]byte), gap func()) error {
	rest := hearFirst
	var holds outage.Watch
	for ctx.Err() == nil {
		err := l.listen(ctx, hear, func() {
			rest = hearFirst
			if _, ended := holds.Note(nil); ended {
				l.client.options.Log.Info("the line between nodes holds again")
			}
			gap()
		})
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, rueidis.ErrClosing) {
			return err
		}
		if began, _ := holds.Note(err); began {
			l.client.options.Log.Warn("the line between nodes broke", "error", err)
		}
		pause.For(ctx, rest)
		rest = min(2*rest, hearLast)
	}
	return ctx.Err()
}

// listen hears until the connection breaks. It has one of its own, so that
// what is heard never waits behind a call.
func (l *Line) listen(ctx context.Context, hear func([]byte), up func()) error {
	conn, release := l.client.conn.Dedicate()
	defer release()
	messages := make(chan string, lineMax)
	overrun := make(chan struct{}, 1)
	subscribed := make(chan struct{}, 1)
	broken := conn.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) {
			select {
			case messages <- m.Message:
			default:
				signal(overrun)
			}
		},
		OnSubscription: func(rueidis.PubSubSubscription) { signal(subscribed) },
	})
	if err := conn.Do(ctx, conn.B().Subscribe().Channel(l.channel()).Build()).Error(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-broken:
			return errors.Join(errBroken, err)
		case <-subscribed:
			up()
		case <-overrun:
			up() // some were too many to remember
		case text := <-messages:
			hear([]byte(text))
		}
	}
}

// lineMax bounds the messages that wait while one is heard.
const lineMax = 1024

var errBroken = errors.New("redis: the connection ended")

func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default: // it is known already
	}
}
