package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/doorbuster/doorbuster/internal/pause"
)

// protocol is the number of the layout in which buckets keep their state. It
// changes only when nodes of this version and of the one before could not
// share a bucket; the scripts have their hash for a name, and may differ.
const protocol = "1"

//go:embed reserve.lua
var reserveText string

//go:embed settle.lua
var settleText string

//go:embed start.lua
var startText string

//go:embed grant.lua
var grantText string

//go:embed reclaim.lua
var reclaimText string

//go:embed shelf.lua
var shelfText string

//go:embed publish.lua
var publishText string

//go:embed ack.lua
var ackText string

//go:embed meter.lua
var meterText string

// scripts are sent by their hash, and whole where Redis has forgotten them.
type scripts struct {
	reserve, settle, start, grant, reclaim, shelf, publish, ack, meter *rueidis.Lua
}

func newScripts() scripts {
	return scripts{
		reserve: rueidis.NewLuaScript(reserveText),
		settle:  rueidis.NewLuaScript(settleText),
		start:   rueidis.NewLuaScript(startText),
		grant:   rueidis.NewLuaScript(grantText),
		reclaim: rueidis.NewLuaScript(reclaimText),
		shelf:   rueidis.NewLuaScript(shelfText),
		publish: rueidis.NewLuaScript(publishText),
		ack:     rueidis.NewLuaScript(ackText),
		meter:   rueidis.NewLuaScript(meterText),
	}
}

// ErrProtocol says that a bucket's state was written by a version of
// Doorbuster that cannot share it with this one.
var ErrProtocol = errors.New("redis: the bucket's state has another protocol number")

// run runs a script. Every script may be repeated: it changes nothing the
// second time, but for publish, where a ticket may come twice, and meter, which
// counts twice.
func (c *Client) run(ctx context.Context, script *rueidis.Lua, keys, args []string) (rueidis.RedisMessage, error) {
	return c.do(ctx, func(ctx context.Context) rueidis.RedisResult { return script.Exec(ctx, c.conn, keys, args) })
}

const (
	retryFirst = 10 * time.Millisecond
	retryLast  = 100 * time.Millisecond
)

// do asks until there is an answer, at most until ctx ends: again for as long
// as Redis says that it did nothing and will soon, once more where it said
// nothing. An error means that the outcome is unknown. The answer of a missing
// value is the nil message.
func (c *Client) do(ctx context.Context, ask func(context.Context) rueidis.RedisResult) (rueidis.RedisMessage, error) {
	rest, silent := retryFirst, false
	for {
		answer, err := ask(ctx).ToMessage()
		if err == nil || rueidis.IsRedisNil(err) {
			return answer, nil
		}
		switch judge(err) {
		case refusal:
			c.noteRefused(err)
			return answer, explain(err)
		case silence:
			if silent {
				return answer, explain(err)
			}
			silent = true
		case notYet:
		}
		if !pause.For(ctx, rest) {
			return answer, explain(err)
		}
		rest = min(2*rest, retryLast)
	}
}

// reason is why a call has no answer.
type reason uint8

const (
	refusal reason = iota // Redis refused it, and would again
	notYet                // Redis did nothing, and may soon
	silence               // it may have been done, or not
)

func judge(err error) reason {
	answer, ok := rueidis.IsRedisErr(err)
	if !ok {
		if errors.Is(err, rueidis.ErrClosing) {
			return refusal
		}
		return silence
	}
	code, _, _ := strings.Cut(answer.Error(), " ")
	switch code {
	case "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "BUSY", "MOVED", "ASK":
		return notYet
	}
	return refusal // MISCONF, OOM, NOREPLICAS, NOPERM, a script's own error
}

// refusedFor is for how long a refused write is told to operators: longer than
// from one buyer's try to his next.
const refusedFor = 30 * time.Second

// refusedWrite is a write that Redis did not take.
type refusedWrite struct {
	why string
	at  time.Time
}

// noteRefused remembers that a Redis took no write. Nothing else would show it to
// who looks at the node's health: reading goes on.
func (c *Client) noteRefused(err error) {
	answer, ok := rueidis.IsRedisErr(err)
	if !ok {
		return
	}
	switch code, _, _ := strings.Cut(answer.Error(), " "); code {
	case "MISCONF", "OOM", "NOREPLICAS":
		c.refused.Store(&refusedWrite{answer.Error(), c.options.Now()})
	}
}

// refusing is a sentence for operators where a write was refused lately; empty:
// none was.
func (c *Client) refusing() string {
	last := c.refused.Load()
	if last == nil || c.options.Now().Sub(last.at) > refusedFor {
		return ""
	}
	return "Redis refused to write less than half a minute ago: " + last.why
}

// explain says what an error means, where Redis's words do not.
func explain(err error) error {
	if answer, ok := rueidis.IsRedisErr(err); ok {
		if theirs, found := strings.CutPrefix(answer.Error(), "PROTOCOL "); found {
			return fmt.Errorf("%w: %s, this version has %s; let the nodes of one version end before the other's serve it",
				ErrProtocol, theirs, protocol)
		}
	}
	return fmt.Errorf("redis: %w", err)
}
