package web

import (
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/doorbuster/doorbuster/internal/wire"
)

// Most of a crowd hears one of two things, from a sale's notice alone: the
// refusal of every new order, and the state that pages poll. On a connection
// that the server knows already, both are answered from the bytes of the
// request, before the server parses them: to the byte what the handlers would
// answer, for half their cost. Whatever is unusual about a request goes to
// the server.

// script is an answer down to its last byte, but for the times in it.
type script struct {
	text  []byte
	date  int            // where Date stands in text
	stamp int            // where server_time stands; 0: it has none
	count *atomic.Uint64 // who counts it
	order bool           // good only for an Idempotency-Key that has no answer yet
}

// httpDate is what Date looks like.
const httpDate = http.TimeFormat

// script makes a script of an answer's parts. Its fields stand where the server
// would write them.
func (d *Door) script(status int, contentType, fields string, body []byte) *script {
	if d.origins() == "" && len(d.Options.PageOrigins) > 0 {
		return nil
	}
	s := &script{text: fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: ", status, http.StatusText(status))}
	s.date = len(s.text)
	s.text = fmt.Appendf(s.text, "%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s%sX-Content-Type-Options: nosniff\r\n\r\n",
		httpDate, contentType, len(body), d.origins(), fields)
	s.text = append(s.text, body...)
	return s
}

// origins are the fields that allowOrigin writes, where they are the same for
// every request.
func (d *Door) origins() string {
	if len(d.Options.PageOrigins) == 1 && d.Options.PageOrigins[0] == "*" {
		return "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: " + exposed + "\r\n"
	}
	return ""
}

// scriptRefusal is nil where the refusal tells to wait: that differs from
// buyer to buyer.
func (d *Door) scriptRefusal(no *refusal) *script {
	if no == nil || no.retryAfter > 0 || no.status >= http.StatusInternalServerError || no.status == http.StatusUnauthorized {
		return nil
	}
	s := d.script(no.status, wire.ProblemType, "Cache-Control: no-store\r\n", no.body)
	if s != nil {
		s.count, s.order = no.count, true
	}
	return s
}

func (d *Door) scriptState(state *stamped) *script {
	s := d.script(http.StatusOK, jsonType, "Cache-Control: "+cacheSecond+"\r\nCdn-Cache-Control: "+cdnSecond+"\r\n", state.text)
	if s != nil {
		s.count, s.stamp = &d.Counts.States, len(s.text)-len(state.text)+state.at
	}
	return s
}

// quick answers the requests at the front of p that have a script. It returns
// how many bytes of p they took, and their answers, appended to into.
func (d *Door) quick(f *framer, p, into []byte) (took int, answers []byte) {
	for took < len(p) && len(into) < answersMax {
		sale, script := d.scriptFor(p[took:])
		if script == nil {
			break
		}
		n, whole, no := f.one(p[took:])
		if no != sound || !whole || f.seen.special || !d.fits(script, sale, f) {
			*f = framer{} // the server's turn, from this request on
			break
		}
		took += n
		into = d.play(script, into)
	}
	return took, into
}

// answersMax bounds what is answered at once, in bytes: requests are shorter
// than their answers.
const answersMax = 64 << 10

// scriptFor looks for the script of the request that p begins with.
func (d *Door) scriptFor(p []byte) (sale []byte, _ *script) {
	const post, get = "POST /api/v1/sales/", "GET /s/"
	if rest, ok := bytes.CutPrefix(p, []byte(post)); ok {
		sale, ok = before(rest, "/orders HTTP/1.1\r\n")
		if !ok {
			return nil, nil
		}
		shown, ok := d.display(view(sale))
		if !ok {
			return nil, nil
		}
		return sale, shown.refusalScript // nil while there is hope
	}
	if rest, ok := bytes.CutPrefix(p, []byte(get)); ok {
		sale, ok = before(rest, "/state.json HTTP/1.1\r\n")
		if !ok {
			return nil, nil
		}
		if shown, ok := d.display(view(sale)); ok {
			return sale, shown.stateScript
		}
	}
	return nil, nil
}

// before returns the name at the front of text, if what follows it is rest.
func before(text []byte, rest string) ([]byte, bool) {
	name, _, ok := bytes.Cut(text[:min(len(text), nameMax)], []byte("/"))
	return name, ok && len(text) >= len(name)+len(rest) && string(text[len(name):len(name)+len(rest)]) == rest
}

// nameMax is longer than any sale's name and a slash.
const nameMax = 72

// fits reports whether the request is one that the script answers.
func (d *Door) fits(s *script, sale []byte, f *framer) bool {
	switch {
	case len(f.seen.host) == 0 || !d.knowsHost(f.seen.host):
		return false
	case !s.order || len(f.seen.key) == 0:
		return true
	}
	return isKey(f.seen.key) && !d.Desk.KnownKey(view(sale), view(f.seen.key))
}

// play appends the answer, with the times of now.
func (d *Door) play(s *script, into []byte) []byte {
	s.count.Add(1)
	begin := len(into)
	into = append(into, s.text...)
	copy(into[begin+s.date:], d.date().text)
	if s.stamp > 0 {
		wire.AppendMoment(into[begin+s.stamp:begin+s.stamp], d.Now())
	}
	return into
}

// dateText is what Date says in one second.
type dateText struct {
	second int64
	text   string
}

// date returns the text of now.
func (d *Door) date() *dateText {
	now := d.Wall()
	if said := d.dated.Load(); said != nil && said.second == now.Unix() {
		return said
	}
	fresh := &dateText{second: now.Unix(), text: now.UTC().Format(httpDate)}
	d.dated.Store(fresh)
	return fresh
}
