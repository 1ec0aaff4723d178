package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/payments"
)

// Bounds of delivery.
const (
	roundMax    = 16              // events posted at once
	postTimeout = 5 * time.Second // for one post: the shop commits in milliseconds, or is not there
	firstRetry  = time.Second     // doubles with each failure …
	lastRetry   = time.Minute     // … up to here
	noticeTries = 5               // posts of an event without money, then it is dropped
	noticesMax  = 1000            // such events waiting; more are dropped
	idle        = time.Hour       // a wait with nothing to do
	replyMax    = 4 << 10         // bytes read of an answer, so that its connection is used again
	maxShift    = 6               // firstRetry << maxShift is above lastRetry
)

// letter is an event on its way to the shop.
type letter struct {
	id     string
	kind   string
	at     time.Time
	charge payments.Charge // with Order alone where no money was taken
	tries  int
	due    time.Time
}

// outbox holds letters in the order in which they are due. Letters about
// money are in the journal too, and are as many as there are charges.
type outbox struct {
	mu      sync.Mutex
	letters []*letter
	notices int           // letters without money
	nudge   chan struct{} // something is due sooner than it was
}

func newOutbox() outbox { return outbox{nudge: make(chan struct{}, 1)} }

// put adds a letter, and drops one without money where too many wait.
func (o *outbox) put(l *letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.kind != typeSucceeded {
		if o.notices >= noticesMax {
			return
		}
		o.notices++
	}
	at, _ := slices.BinarySearchFunc(o.letters, l.due, func(other *letter, due time.Time) int {
		if other.due.After(due) {
			return 1
		}
		return -1 // behind those that are due at the same time
	})
	o.letters = slices.Insert(o.letters, at, l)
	if at == 0 {
		select {
		case o.nudge <- struct{}{}:
		default:
		}
	}
}

// due takes out the letters that are due, and says how long the next one waits.
func (o *outbox) due(now time.Time) ([]*letter, time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	count := 0
	for count < min(len(o.letters), roundMax) && !o.letters[count].due.After(now) {
		if o.letters[count].kind != typeSucceeded {
			o.notices--
		}
		count++
	}
	round := slices.Clone(o.letters[:count])
	o.letters = slices.Delete(o.letters, 0, count)
	if len(o.letters) == 0 {
		return round, idle
	}
	return round, o.letters[0].due.Sub(now)
}

// Run delivers events until ctx ends: each again and again until the shop has
// acknowledged it. What is undelivered then is delivered after a restart.
func (p *Provider) Run(ctx context.Context) error {
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	for {
		round, wait := p.outbox.due(p.config.Now())
		if len(round) > 0 {
			p.deliver(ctx, round)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-tidy.C:
			if err := p.tidy(); err != nil {
				p.config.Log.Error("sandbox: its journal is not rewritten", slog.Any("error", err))
			}
		case <-p.outbox.nudge:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// deliver posts a round of letters at once, and puts back those that the shop
// did not take.
func (p *Provider) deliver(ctx context.Context, round []*letter) {
	var posts sync.WaitGroup
	for _, l := range round {
		posts.Go(func() {
			err := p.post(ctx, l)
			if err == nil {
				err = p.acknowledge(l.charge.Order, l.kind)
			}
			if err == nil {
				return
			}
			l.tries++
			p.config.Log.Warn("sandbox: event not delivered", slog.String("event", l.id), slog.Int("tries", l.tries), slog.Any("error", err))
			if l.kind != typeSucceeded && l.tries >= noticeTries {
				return
			}
			l.due = p.config.Now().Add(backoff(l.tries))
			p.outbox.put(l)
		})
	}
	posts.Wait()
}

func backoff(tries int) time.Duration {
	return min(firstRetry<<min(tries-1, maxShift), lastRetry)
}

// post sends one event. Only a 2xx says that the shop has it.
func (p *Provider) post(ctx context.Context, l *letter) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	body, err := l.body()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.Callback, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post event: %w", err)
	}
	request.Header, request.Host = p.sign(l.id, body), p.config.Host
	response, err := p.config.Client.Do(request)
	if err != nil {
		return fmt.Errorf("post event: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // what is left unread closes the connection: no harm
	_, _ = io.CopyN(io.Discard, response.Body, replyMax)
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("post event: the shop answered %s", response.Status)
	}
	return nil
}
