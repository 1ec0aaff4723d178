// Package redis keeps the stock, the queue and a line between nodes in Redis
// or Redis Cluster. All of it may be lost at any moment: the ledger is the
// truth.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/doorbuster/doorbuster/internal/pause"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// dialMax bounds connecting, greeting included: a frozen server accepts
	// connections and says nothing.
	dialMax = time.Second
	// silenceMax is after how long a connection that says nothing is given up,
	// with all that waits for it.
	silenceMax = 2 * time.Second
	// beatEvery is how often a connection that is idle is asked whether it lives.
	beatEvery = time.Second
	// callMax bounds a call. A buyer's reservation has less: see reserveMax.
	callMax = 2 * time.Second
	// lookEvery is how often the cluster's map is read again, beside each time
	// that something in it failed.
	lookEvery = 5 * time.Second
	// hopsMax bounds how often a call is sent on by the cluster.
	hopsMax = 5
	// openRest is the pause between tries to reach a Redis that is not there.
	openRest = 200 * time.Millisecond
	// aloneTries is how often a cluster is looked at again whose master has no
	// replica: one that was restarted, or promoted, takes some seconds.
	aloneTries = 50
	// bufferSize of a connection, each way: a call of 256 asks fits.
	bufferSize = 128 << 10
)

// Rights are the rules of the narrowest Redis user that this version works
// with, but for name and password.
const Rights = "resetkeys ~doorbuster:* resetchannels &doorbuster:* -@all " +
	"+evalsha +eval +hget +hmget +hset +hdel +hincrby +hgetall +hlen +hvals +hscan +unlink +get +set +incrby +decrby " +
	"+xadd +xlen +xdel +xack +xreadgroup +xautoclaim +xgroup|create +xgroup|delconsumer +xinfo|consumers +publish +subscribe +unsubscribe " +
	"+ping +hello +auth +client|setname +info +cluster|slots +cluster|nodes +asking"

// Options says which Redis, and how to use it.
type Options struct {
	// URL is redis://host:port, with more hosts behind commas where it is a
	// cluster; rediss:// for TLS. User and password as in any URL.
	URL string
	// Ledger names whose stock this is: 1 to 64 of A-Z, a-z, 0-9, - and _.
	// Another ledger's stock in the same Redis is never met.
	Ledger string
	// Now stamps tickets.
	Now func() time.Time
	// Accept names what may be wrong with the Redis: see AcceptNames.
	Accept []string
	Log    *slog.Logger
}

// Client is a Redis as stock, queue and line share it.
type Client struct {
	options  Options
	conn     rueidis.Client
	scripts  scripts
	shelves  sync.Map // shop.Bucket → *shelf; as many as the ledger has buckets
	masters  int
	warnings []string
	news     chan struct{}                // holds a token when tickets came to a stream that nobody here tends
	refused  atomic.Pointer[refusedWrite] // the last one; nil: none was

	mu      sync.Mutex
	closed  bool
	flights sync.WaitGroup
}

// Open connects to a Redis and checks that it may be relied on. It tries
// again until ctx ends where nobody answers, and refuses at once what is set
// wrong.
func Open(ctx context.Context, options Options) (*Client, error) {
	settings, err := options.settings()
	if err != nil {
		return nil, err
	}
	var before error
	for tries := 1; ; tries++ {
		c, err := connect(ctx, options, settings)
		no, refused := errors.AsType[Refused](err)
		if err == nil || (refused && (!no.passing || tries >= aloneTries)) {
			return c, err
		}
		if tries == 1 {
			options.Log.Warn("Redis cannot be used yet", "error", err)
		}
		if !pause.For(ctx, openRest) {
			return nil, gaveUp(err, before)
		}
		before = err
	}
}

// gaveUp tells why no try came through. Where the end of the time cut the last
// try short, it says less than the one before it.
func gaveUp(last, before error) error {
	if before != nil && errors.Is(last, context.DeadlineExceeded) {
		last = before
	}
	if errors.As(last, new(Refused)) {
		return last
	}
	return fmt.Errorf("redis: nobody answers: %w", last)
}

func connect(ctx context.Context, options Options, settings rueidis.ClientOption) (*Client, error) {
	conn, err := rueidis.NewClient(settings)
	if answer, ok := rueidis.IsRedisErr(err); ok && (strings.HasPrefix(answer.Error(), "WRONGPASS") || strings.HasPrefix(answer.Error(), "NOAUTH")) {
		return nil, refused("it does not take this user and password: %v", answer)
	}
	if err != nil {
		return nil, err
	}
	c := &Client{options: options, conn: conn, scripts: newScripts(), news: make(chan struct{}, 1)}
	c.masters, c.warnings, err = c.check(ctx)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// settings reads the options. What is wrong with them is Refused.
func (o *Options) settings() (rueidis.ClientOption, error) {
	none := rueidis.ClientOption{}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(o.Ledger) {
		return none, refused("the ledger's name %q is not 1 to 64 of A-Z, a-z, 0-9, - and _", o.Ledger)
	}
	for _, name := range o.Accept {
		if !acceptable(name) {
			return none, refused("%q cannot be accepted; these can: %s", name, strings.Join(AcceptNames(), ", "))
		}
	}
	at := strings.LastIndex(o.URL, "@") + 1 // a comma before it belongs to the password
	first, others, _ := strings.Cut(o.URL[at:], ",")
	settings, err := rueidis.ParseURL(o.URL[:at] + first)
	if _, broken := errors.AsType[*url.Error](err); broken { // quotes the URL, or a part of it that may be the password's
		return none, refused("its URL is not redis://host:port")
	}
	if err != nil {
		return none, refused("its URL is not redis://host:port: %v", err)
	}
	if others != "" {
		settings.InitAddress = append(settings.InitAddress, strings.Split(strings.TrimSuffix(others, "/"), ",")...)
	}
	settings.ClientName = "doorbuster"
	settings.ClientSetInfo = rueidis.DisableClientSetInfo // Redis 7.0 does not know it
	settings.DisableCache = true
	settings.DisableRetry = true // only Client.do knows what may be repeated
	settings.Dialer.Timeout = dialMax
	settings.Dialer.KeepAlive = beatEvery
	settings.ConnWriteTimeout = silenceMax
	settings.ReadBufferEachConn, settings.WriteBufferEachConn = bufferSize, bufferSize
	settings.ClusterOption.ShardsRefreshInterval = lookEvery
	settings.ClusterOption.MaxMovedRedirections = hopsMax
	return settings, nil
}

// Close ends all connections, once what is under way has an outcome.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.flights.Wait()
	c.conn.Close()
}

// errClosed says that the client was closed.
var errClosed = errors.New("redis: closed")

// launch runs do on its own; Close waits for it.
func (c *Client) launch(do func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	c.flights.Go(do)
	return nil
}

// Masters returns over how many servers the buckets were spread when the
// client was opened: 1, or the masters of the cluster.
func (c *Client) Masters() int { return c.masters }

// Warnings returns what is wrong with the Redis and was accepted, and what is
// only worth knowing.
func (c *Client) Warnings() []string {
	if no := c.refusing(); no != "" {
		return append(slices.Clone(c.warnings), no)
	}
	return c.warnings
}

// shelf is what the client remembers of one bucket.
type shelf struct {
	bucket  shop.Bucket
	keys    keys
	counter counter       // where buyers stand in line
	bell    chan struct{} // holds a token when tickets were put into the stream
	tended  atomic.Int32  // queues of this process that read it
}

func (c *Client) shelf(bucket shop.Bucket) *shelf {
	if known, ok := c.shelves.Load(bucket); ok {
		return known.(*shelf)
	}
	fresh := &shelf{bucket: bucket, keys: keysOf(c.options.Ledger, bucket), bell: make(chan struct{}, 1)}
	known, _ := c.shelves.LoadOrStore(bucket, fresh)
	return known.(*shelf)
}

// ring tells this process's queue that the bucket has new tickets.
func (c *Client) ring(s *shelf) {
	signal(s.bell)
	if s.tended.Load() == 0 {
		signal(c.news)
	}
}
