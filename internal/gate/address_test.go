package gate

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustProxies(t testing.TB, list string) *Proxies {
	t.Helper()
	prefixes, err := ParsePrefixes(list)
	if err != nil {
		t.Fatal(err)
	}
	return NewProxies(prefixes)
}

func lines(texts ...string) [][]byte {
	var all [][]byte
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

func TestTheClientIsWhoTheTrustedProxiesSaw(t *testing.T) {
	const trusted = "10.0.0.0/8,fd00::/8,127.0.0.1"
	for _, c := range []struct {
		name, trusted, peer string
		forwarded           []string
		want                string
	}{
		{"nobody is trusted by default", "", "10.0.0.1", []string{"203.0.113.9"}, "10.0.0.1"},
		{"an untrusted peer's header is ignored", trusted, "203.0.113.1", []string{"198.51.100.1"}, "203.0.113.1"},
		{"no header", trusted, "10.0.0.1", nil, "10.0.0.1"},
		{"one hop", trusted, "10.0.0.1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"spoofed entries on the left", trusted, "10.0.0.1", []string{"1.1.1.1, 127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		{"trusted hops are skipped", trusted, "10.0.0.1", []string{"203.0.113.9, 10.1.1.1,fd00::7"}, "203.0.113.9"},
		{"lines are one list, in order", trusted, "10.0.0.1", []string{"1.1.1.1", "203.0.113.9, 10.0.0.3", "10.0.0.2"}, "203.0.113.9"},
		{"a spoofed line above the proxy's own", trusted, "127.0.0.1", []string{"8.8.8.8", "203.0.113.9"}, "203.0.113.9"},
		{"a bad entry is the peer", trusted, "10.0.0.1", []string{"203.0.113.9, bogus"}, "10.0.0.1"},
		{"a bad entry left of the client is not read", trusted, "10.0.0.1", []string{"bogus, 203.0.113.9"}, "203.0.113.9"},
		{"an empty entry is bad", trusted, "10.0.0.1", []string{"203.0.113.9,"}, "10.0.0.1"},
		{"an empty line is bad", trusted, "10.0.0.1", []string{"203.0.113.9", ""}, "10.0.0.1"},
		{"unknown is bad", trusted, "10.0.0.1", []string{"unknown"}, "10.0.0.1"},
		{"an address and more is bad", trusted, "10.0.0.1", []string{"203.0.113.9 203.0.113.8"}, "10.0.0.1"},
		{"a line break is bad", trusted, "10.0.0.1", []string{"203.0.113.9\n"}, "10.0.0.1"},
		{"leading zeros are bad", trusted, "10.0.0.1", []string{"203.0.113.009"}, "10.0.0.1"},
		{"all hops are ours: the first one", trusted, "10.0.0.1", []string{"10.9.9.9, 10.0.0.2"}, "10.9.9.9"},
		{"IPv4 inside IPv6 is IPv4", trusted, "::ffff:10.0.0.1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"IPv6 in hexadecimal IPv4", trusted, "::ffff:a00:1", []string{"::ffff:cb00:7109"}, "203.0.113.9"},
		{"a peer's zone", trusted, "fd00::1%eth0", []string{"2001:db8::1"}, "2001:db8::1"},
		{"a hop's zone", trusted, "10.0.0.1", []string{"2001:db8::1, fd00::1%eth0"}, "2001:db8::1"},
		{"IPv4 with a port", trusted, "10.0.0.1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv6 in brackets", trusted, "10.0.0.1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 in brackets with a port", trusted, "10.0.0.1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"a port that is none", trusted, "10.0.0.1", []string{"203.0.113.9:http"}, "10.0.0.1"},
		{"a bracket without its pair", trusted, "10.0.0.1", []string{"[2001:db8::1"}, "10.0.0.1"},
		{"too many hops", trusted, "10.0.0.1", []string{"203.0.113.9" + strings.Repeat(",10.0.0.1", hopsMax)}, "10.0.0.1"},
		{"as many hops as there may be", trusted, "10.0.0.1", []string{"203.0.113.9" + strings.Repeat(",10.0.0.1", hopsMax-1)}, "203.0.113.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mustProxies(t, c.trusted).Client(netip.MustParseAddr(c.peer), lines(c.forwarded...))
			if want := netip.MustParseAddr(c.want); got != want {
				t.Errorf("client is %s, want %s", got, want)
			}
		})
	}
}

func TestTheZeroProxiesTrustNobody(t *testing.T) {
	var proxies Proxies
	peer := netip.MustParseAddr("10.0.0.1")
	if got := proxies.Client(peer, lines("203.0.113.9")); got != peer {
		t.Errorf("client is %s, want %s", got, peer)
	}
}

func TestOneLineIsOneKey(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"203.0.113.9", "::ffff:203.0.113.9", true},
		{"203.0.113.9", "203.0.113.8", false},
		{"203.0.113.9", "::cb00:7109", false},
		{"0.0.0.0", "::", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
	} {
		a, b := KeyOf(netip.MustParseAddr(c.a)), KeyOf(netip.MustParseAddr(c.b))
		if (a == b) != c.same {
			t.Errorf("keys of %s and %s: same is %v, want %v", c.a, c.b, a == b, c.same)
		}
	}
	if got := KeyOf(netip.Addr{}); got != (AddressKey{}) {
		t.Errorf("key of an unknown peer is %x, want the one that all of them share", got)
	}
}

// Security line 2.
func TestTenThousandAddressesOfOneNetworkShareOneBucket(t *testing.T) {
	limiter := NewLimiter(Rate{PerSecond: 1, Burst: 10}, 1<<10)
	address := netip.MustParseAddr("2001:db8:1:2::")
	allowed := 0
	for range 10_000 {
		address = address.Next()
		k := KeyOf(address)
		if ok, _ := limiter.Allow(k[:], 0); ok {
			allowed++
		}
	}
	if allowed != 10 {
		t.Errorf("%d requests allowed, want 10", allowed)
	}
}

func TestALogShowsOnlyTheNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.9":             "203.0.113.0/24",
		"::ffff:203.0.113.9":      "203.0.113.0/24",
		"2001:db8:1:2:3:4:5:6":    "2001:db8:1::/48",
		"fe80::1:2:3:4%some-zone": "fe80::/48",
	} {
		if got := Redact(netip.MustParseAddr(text)); got != want {
			t.Errorf("Redact(%s) = %s, want %s", text, got, want)
		}
	}
	if got := Redact(netip.Addr{}); got != "unknown" {
		t.Errorf("Redact of no address = %s, want unknown", got)
	}
}

func TestPrefixesAreReadAsWritten(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                nil,
		"  ":                              nil,
		"127.0.0.1":                       {"127.0.0.1/32"},
		"::1":                             {"::1/128"},
		"10.0.0.0/8, fd00::/8 ,127.0.0.1": {"10.0.0.0/8", "fd00::/8", "127.0.0.1/32"},
		"0.0.0.0/0":                       {"0.0.0.0/0"},
		"::ffff:10.0.0.0/104":             {"10.0.0.0/8"},
		"::ffff:10.0.0.1":                 {"10.0.0.1/32"},
	} {
		prefixes, err := ParsePrefixes(text)
		if err != nil {
			t.Errorf("ParsePrefixes(%q): %v", text, err)
		}
		var got []string
		for _, prefix := range prefixes {
			got = append(got, prefix.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParsePrefixes(%q): -want +got\n%s", text, diff)
		}
	}
}

func TestAWrongPrefixSaysWhatToWrite(t *testing.T) {
	for text, part := range map[string]string{
		"10.0.0.0/8,":         `"" is neither an address nor a prefix`,
		"proxy.example":       `"proxy.example" is neither an address nor a prefix`,
		"10.0.0.0/33":         `"10.0.0.0/33" is neither an address nor a prefix`,
		"10.0.0.0/8;10.1.1.1": "is neither an address nor a prefix; write such as 10.0.0.0/8",
		"fe80::1%eth0":        `"fe80::1%eth0" is neither`,
		"10.1.2.3/8":          "write 10.0.0.0/8, or the address alone",
		"::ffff:0:0/90":       "has bits set",
		"::ffff:10.0.0.1/128,::ffff:10.0.0.1/100": "has bits set",
	} {
		if prefixes, err := ParsePrefixes(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("ParsePrefixes(%q) = %v, %v; want an error with %q", text, prefixes, err, part)
		}
	}
}

// Security line 1: whatever a stranger puts on the left, the key stays.
func FuzzSpoofedEntriesNeverChangeTheKey(f *testing.F) {
	for _, junk := range []string{
		"", ",", "1.1.1.1", "10.0.0.1", "127.0.0.1, 10.0.0.1", "[::1]:80", "[", "]", "%", "::ffff:1.2.3.4", "1.1.1.1\x00",
		"for=1.1.1.1;proto=https", "\"1.1.1.1\"", "unknown", "10.0.0.1%x", "\n10.0.0.1", strings.Repeat("10.0.0.1,", 100),
	} {
		f.Add([]byte(junk), true, "203.0.113.9")
		f.Add([]byte(junk), false, "2001:db8::9")
	}
	proxies := mustProxies(f, "10.0.0.0/8,fd00::/8,127.0.0.1")
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, junk []byte, ownLine bool, client string) {
		address, err := netip.ParseAddr(client)
		if err != nil || proxies.trusts(plain(address)) || address.Zone() != "" {
			t.Skip("not a stranger's address")
		}
		forwarded := [][]byte{junk, []byte(client + ", fd00::1")}
		if !ownLine {
			forwarded = [][]byte{append(append(junk[:len(junk):len(junk)], ','), client...)}
		}
		if got, want := KeyOf(proxies.Client(peer, forwarded)), KeyOf(address); got != want {
			t.Errorf("key of %q is %x, want %x", forwarded, got, want)
		}
	})
}

func FuzzParsePrefixes(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8,fd00::/8,127.0.0.1", "", ",", "::ffff:10.0.0.0/104", "1.2.3.4/0", "::/0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		prefixes, err := ParsePrefixes(text)
		if err != nil {
			return
		}
		proxies := NewProxies(prefixes)
		for _, prefix := range prefixes {
			if !proxies.trusts(plain(prefix.Addr())) {
				t.Errorf("%q does not trust %s", text, prefix)
			}
		}
	})
}

func TestFindingTheClientAllocatesNothing(t *testing.T) {
	proxies := mustProxies(t, "10.0.0.0/8,fd00::/8")
	peer := netip.MustParseAddr("10.0.0.1")
	for _, text := range []string{"1.1.1.1, 203.0.113.9, fd00::1", "[2001:db8::1]:443, fd00::1%eth0, 10.0.0.9:80"} {
		forwarded := lines(text)
		if allocs := testing.AllocsPerRun(100, func() {
			k := KeyOf(proxies.Client(peer, forwarded))
			_ = k
		}); allocs != 0 {
			t.Errorf("%q: %v allocations, want 0", text, allocs)
		}
	}
}

func BenchmarkClient(b *testing.B) {
	proxies := mustProxies(b, "10.0.0.0/8,fd00::/8")
	peer := netip.MustParseAddr("10.0.0.1")
	forwarded := lines("1.1.1.1, 203.0.113.9, 10.0.0.7")
	b.ReportAllocs()
	for b.Loop() {
		KeyOf(proxies.Client(peer, forwarded))
	}
}
