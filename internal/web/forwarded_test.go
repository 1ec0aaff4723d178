package web

import (
	"bufio"
	"bytes"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/gate"
)

// forwarded are heads as proxies and liars write them. 10.0.0.0/8 and the
// loopback are ours.
func forwarded() map[string]string {
	line := func(values ...string) (lines string) {
		for _, value := range values {
			lines += "X-Forwarded-For: " + value + "\r\n"
		}
		return lines
	}
	return map[string]string{
		"nobody":                   "",
		"one":                      line("192.0.2.1"),
		"one in other letters":     strings.ToUpper(line("192.0.2.1")),
		"white space around":       "X-Forwarded-For:\t 192.0.2.1 \t\r\n",
		"with a port":              line("192.0.2.1:4711"),
		"behind our proxy":         line("192.0.2.1, 10.0.0.1"),
		"a spoofed left entry":     line("198.51.100.1, 192.0.2.1, 10.0.0.1"),
		"a bad left entry":         line("me, 192.0.2.1"),
		"one of ours on the left":  line("10.0.0.9, 192.0.2.1"),
		"only ours":                line("10.0.0.9, 10.0.0.1"),
		"a bad entry":              line("192.0.2.1, unknown"),
		"a bad entry behind ours":  line("unknown, 10.0.0.1"),
		"empty":                    line(""),
		"an empty entry":           line("192.0.2.1,"),
		"IPv6":                     line("2001:db8::1"),
		"IPv6 of the same line":    line("[2001:db8::2]:443"),
		"IPv4 in IPv6":             line("::ffff:192.0.2.1"),
		"no address":               line("\"192.0.2.1\""),
		"bytes beyond ASCII":       line("192.0.2.\xff"),
		"two lines":                line("198.51.100.1", "192.0.2.1"),
		"two lines, the last ours": line("192.0.2.1", "10.0.0.1"),
		"two lines, one empty":     line("", "10.0.0.1"),
		"two lines, both empty":    line("", ""),
		"three lines":              line("198.51.100.1", "unknown", "192.0.2.1"),
		"a long list":              line(strings.Repeat("198.51.100.1, ", 60) + "192.0.2.1"),
		"a long list of ours":      line("192.0.2.1" + strings.Repeat(", 10.0.0.1", 60)),
	}
}

// Whoever's limit counts, both ways find the same, and say the same to the
// byte. "Connection: TE" makes a request one for the server.
func TestAQuickRefusalCountsForWhomAnyOtherDoes(t *testing.T) {
	times := regexp.MustCompile(`Date: [^\r]*`)
	for trust, list := range map[string]string{"a trusted peer": "127.0.0.0/8,10.0.0.0/8", "an untrusted peer": "10.0.0.0/8", "no proxies": ""} {
		t.Run(trust, func(t *testing.T) {
			said := map[string][]string{}
			names := slices.Sorted(maps.Keys(forwarded()))
			for way, field := range map[string]string{"quick": "", "slow": "Connection: TE\r\n"} {
				h := build(t).publish(sneakers()).walk().work()
				h.door.Gate.Proxies = gate.NewProxies(prefixes(t, list))
				h.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.01, Burst: 7}, 0, 64)
				moment := time.Now()
				h.door.Now = func() time.Time { return moment }
				h.door.Jitter = func(int64) int64 { return 0 }
				h.open()
				var requests []string
				for range 4 { // each spends of somebody's seven: whose tells in the end
					for _, name := range names {
						requests = append(requests, "POST "+toRetro+" HTTP/1.1\r\nHost: x\r\n"+field+forwarded()[name]+"Content-Length: 2\r\n\r\n{}")
					}
				}
				for i, answer := range h.spoken(requests...) {
					said[way] = append(said[way], names[i%len(names)]+": "+times.ReplaceAllString(answer, "TIME"))
				}
			}
			for i, quick := range said["quick"] {
				if quick != said["slow"][i] {
					t.Fatalf("answer %d: quick\n%s\nslow\n%s", i, quick, said["slow"][i])
				}
			}
			for _, status := range []string{"HTTP/1.1 401", "HTTP/1.1 429"} {
				if !strings.Contains(strings.Join(said["quick"], ""), status) {
					t.Errorf("nobody heard %s", status)
				}
			}
		})
	}
}

// A list that the quick way walks names whom the server would find; what was
// put in on the left never matters.
func TestTheQuickWayWalksListsAsTheServerDoes(t *testing.T) {
	h := build(t)
	h.door.Gate.Proxies = gate.NewProxies(prefixes(t, "127.0.0.0/8,10.0.0.0/8"))
	entry := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "10.0.0.1", "10.0.0.2", "2001:db8::1", "[2001:db8::1]:1", "unknown", "", " ", "\xff"})
	walked, left := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SliceOfN(entry, 1, 6), 0, 2).Draw(t, "lines")
		peer := netip.MustParseAddr(rapid.SampledFrom([]string{"127.0.0.1", "203.0.113.1"}).Draw(t, "peer"))
		var head strings.Builder
		for _, entries := range lines {
			head.WriteString("X-Forwarded-For: " + strings.Join(entries, ",") + "\r\n")
		}
		request := "POST " + toRetro + " HTTP/1.1\r\nHost: x\r\n" + head.String() + "\r\n"
		c := &conn{peer: peer}
		if _, whole, no := c.frame.one([]byte(request)); no != sound || !whole {
			t.Fatalf("%q: fault %d", request, no)
		}
		got, ok := h.door.clientOf(c)
		if !ok {
			left++
			return
		}
		var parsed fasthttp.Request
		if err := parsed.Read(bufio.NewReader(strings.NewReader(request))); err != nil {
			t.Fatal(err)
		}
		if want := h.door.Gate.Client(peer, parsed.Header.PeekAll("X-Forwarded-For")); got != want {
			t.Fatalf("%q: the quick way finds %s, the server %s", request, got, want)
		}
		walked++
	})
	if walked == 0 || left == 0 {
		t.Errorf("%d lists were walked, %d left to the server; want some of both", walked, left)
	}
}

// What a proxy usually sends is answered before it is parsed; the rest is not.
func TestOneListOfProxiesIsQuickAndSeveralAreNot(t *testing.T) {
	for list, peerIsOurs := range map[string]bool{"192.0.2.0/24,10.0.0.0/8": true, "10.0.0.0/8": false} {
		h := build(t).publish(sneakers())
		h.door.Gate.Proxies = gate.NewProxies(prefixes(t, list))
		h.door.prepare()
		for name, head := range forwarded() {
			request := []byte("POST " + toRetro + " HTTP/1.1\r\nHost: x\r\n" + head + "\r\n")
			took, answer := h.door.quick(&conn{peer: netip.MustParseAddr("192.0.2.9")}, request, nil)
			unusual := strings.Contains(name, "lines") || strings.Contains(name, "long")
			if want := !peerIsOurs || !unusual; want != (took == len(request)) || want != bytes.HasPrefix(answer, []byte("HTTP/1.1 401")) {
				t.Errorf("%s, from ours %v: quick %v, want %v", name, peerIsOurs, !want, want)
			}
		}
	}
}

func prefixes(t testing.TB, list string) []netip.Prefix {
	t.Helper()
	read, err := gate.ParsePrefixes(list)
	must(t, err)
	return read
}
