package rabbitmq

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/pause"
)

const (
	// retryMin and retryMax bound the pause between two links.
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
)

// line keeps one end connected: when its link ends, it makes another, for ever.
type line struct {
	options *Options
	end     string // publisher or consumer
	done    <-chan struct{}

	mu      sync.Mutex
	begun   bool
	link    *link         // nil: not connected
	why     error         // of the last failure
	changed chan struct{} // closed when a link is there
}

func newLine(options *Options, end string, done <-chan struct{}) *line {
	return &line{options: options, end: end, done: done, why: errUnreachable, changed: make(chan struct{})}
}

// run connects, prepares and serves one link after another until ctx ends.
func (l *line) run(ctx context.Context, prepare func(*link) error, serve func(context.Context, *link) error) {
	l.mu.Lock()
	l.begun = true
	l.mu.Unlock()
	wait, told := retryMin, false
	for ctx.Err() == nil {
		k, err := l.open(ctx, prepare)
		if err == nil {
			l.set(k)
			l.options.Log.Info("connected to RabbitMQ", "end", l.end, "name", l.options.Name)
			told = false
			err = serve(ctx, k)
			l.unset(err)
			if ctx.Err() != nil {
				k.leave(ctx)
				return
			}
			k.end(err)
			if k.useful.Load() {
				wait = retryMin
			}
		} else {
			l.unset(err)
		}
		if !told && ctx.Err() == nil { // once, not at every try while the broker is away
			told = true
			l.options.Log.Warn("no connection to RabbitMQ; trying again", "end", l.end, "name", l.options.Name, "error", err)
		}
		pause.For(ctx, wait/2+time.Duration(l.options.Jitter(int64(wait/2))))
		wait = min(2*wait, retryMax)
	}
}

// open makes a link that is ready for use.
func (l *line) open(ctx context.Context, prepare func(*link) error) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectMax, errLate)
	defer cancel()
	k := newLink()
	stop := context.AfterFunc(ctx, func() { k.fail(context.Cause(ctx)) })
	err := k.connect(ctx, l.options.URL, l.options.Name+" "+l.end)
	if err == nil {
		err = prepare(k)
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		k.end(err)
		return nil, err
	}
	return k, nil
}

func (l *line) set(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.link, l.why = k, nil
	close(l.changed)
}

func (l *line) unset(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link != nil {
		l.changed = make(chan struct{})
	}
	l.link, l.why = nil, why
}

// now returns the link of the moment, or nil.
func (l *line) now() *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.link
}

// wait returns the link, once there is one.
func (l *line) wait(ctx context.Context) (*link, error) {
	for {
		l.mu.Lock()
		k, changed, why := l.link, l.changed, l.why
		l.mu.Unlock()
		if k != nil {
			return k, nil
		}
		select {
		case <-changed:
		case <-l.done:
			return nil, errClosed
		case <-ctx.Done():
			return nil, fmt.Errorf("no connection (%w): %w", why, context.Cause(ctx))
		}
	}
}

// trouble says what is wrong with the link, if anything.
func (l *line) trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.begun:
		return nil
	case l.link == nil:
		return l.why
	case l.link.isBlocked():
		return errBlocked
	default:
		return nil
	}
}
