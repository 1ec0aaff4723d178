package web

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/web/webtest"
)

// Security line 7.
func TestRequestsThatTwoParsersCouldReadInTwoWaysEndTheConnection(t *testing.T) {
	h := openHouse(t, sneakers())
	// What would be smuggled behind each; if it were answered, the first was
	// not refused, or the connection was used again.
	const behind = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, text := range webtest.Smuggled() {
		t.Run(name, func(t *testing.T) {
			answers := (&house{t: t, addr: h.addr}).raw(text + behind)
			if len(answers) != 1 {
				t.Fatalf("%d answers, want 1", len(answers))
			}
			checkBroken(t, answers[0], http.StatusBadRequest, shop.Malformed)
		})
	}
}

// A connection that the server knows is looked at by the quick way first: that
// must not be taken in either.
func TestTheQuickWayAnswersNothingThatTwoParsersCouldReadInTwoWays(t *testing.T) {
	h := openHouse(t, sneakers())
	const before = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, text := range webtest.Smuggled() {
		t.Run(name, func(t *testing.T) {
			c := (&house{t: t, addr: h.addr}).dial()
			reader := bufio.NewReader(c)
			for i, part := range []string{before, strings.Replace(text, "/livez", "/s/retro-85/state.json", 1) + before} {
				_, err := io.WriteString(c, part)
				must(t, err)
				answer := read(t, reader)
				if i > 0 {
					checkBroken(t, answer, http.StatusBadRequest, shop.Malformed)
				}
			}
		})
	}
}

// Eight bytes at once see what one at a time does.
func TestAControlCharacterIsSeenWhereverItStands(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				value := bytes.Repeat([]byte("\x80"), length)
				value[at] = byte(c)
				if got, want := isText(value), c >= ' ' && c != 0x7f || c == '\t'; got != want {
					t.Fatalf("isText(%q) = %v", value, got)
				}
			}
		}
	}
}

func checkBroken(t *testing.T, answer reply, status int, code shop.Code) {
	t.Helper()
	check(t, answer, status, code)
	if !answer.closes {
		t.Error("the connection goes on")
	}
}

// A bad request behind good ones ends the connection, after their answers.
func TestWhatCameBeforeABrokenRequestIsAnswered(t *testing.T) {
	h := openHouse(t, sneakers())
	answers := h.raw(strings.Repeat("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 3) + "GET /livez HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n")
	var got []int
	for _, answer := range answers {
		got = append(got, answer.status)
	}
	if len(got) != 4 || got[0] != 200 || got[2] != 200 || got[3] != 400 {
		t.Errorf("answers %v, want 200 200 200 400", got)
	}
}

func TestWhatIsTooLongIsRefusedAsSuch(t *testing.T) {
	h := openHouse(t, sneakers())
	post := "POST /api/v1/sales/retro-85/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for name, text := range map[string]string{
		"a body of 4097 bytes":     post + "Content-Length: 4097\r\n\r\n" + strings.Repeat("x", 4097),
		"a body of a megabyte":     post + "Content-Length: 1048576\r\n\r\n" + strings.Repeat("x", 1<<20),
		"a length beyond 64 bits":  post + "Content-Length: 99999999999999999999999999\r\n\r\n",
		"a header field of 9 KiB":  post + "X-A: " + strings.Repeat("x", 9<<10) + "\r\n\r\n",
		"many small header fields": post + strings.Repeat("X-A: b\r\n", 2000) + "\r\n",
		"an endless target":        "GET /" + strings.Repeat("x", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			answers := (&house{t: t, addr: h.addr}).raw(text)
			if len(answers) != 1 {
				t.Fatalf("%d answers, want 1", len(answers))
			}
			checkBroken(t, answers[0], http.StatusRequestEntityTooLarge, shop.TooLarge)
		})
	}
}

// However the bytes are cut into packets, the framer lets the same pass.
func TestTheFramerDoesNotMindHowBytesArrive(t *testing.T) {
	sane := "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.0\r\n\r\n"
	texts := map[string]string{"sane": sane + sane}
	for name, text := range webtest.Smuggled() {
		texts[name] = sane + text
	}
	for name, text := range texts {
		whole := framer{}
		_, want := whole.follow([]byte(text))
		for step := 1; step < 40; step++ {
			var f framer
			var got fault
			for rest := text; rest != "" && got == sound; {
				n := min(step, len(rest))
				_, got = f.follow([]byte(rest[:n]))
				rest = rest[n:]
			}
			if got != want {
				t.Errorf("%s in steps of %d: fault %d, in one: %d", name, step, got, want)
			}
		}
	}
}

func FuzzFramer(f *testing.F) {
	for _, text := range webtest.Smuggled() {
		f.Add([]byte(text), uint8(7))
	}
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		var whole, parts framer
		sane, want := whole.follow(data)
		if sane > len(data) || (want == sound) != (sane == len(data)) && want == sound {
			t.Fatalf("%d of %d bytes are sane, fault %d", sane, len(data), want)
		}
		got := sound
		for rest := data; len(rest) > 0 && got == sound; {
			n := min(int(step)+1, len(rest))
			_, got = parts.follow(rest[:n])
			rest = rest[n:]
		}
		if got != want {
			t.Fatalf("in steps of %d: fault %d, in one: %d", int(step)+1, got, want)
		}
	})
}
