package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// parse turns texts into values. A text that is no value leaves the field as
// it is and makes a fault.
func parse(all settings) (*Config, shop.Faults) {
	c := &Config{settings: all}
	var faults shop.Faults
	text := func(name string) string { return all.get(name).value }
	wrong := func(name string, err error) {
		if err != nil {
			faults = append(faults, shop.Fault{Field: all.get(name).label(), Wrong: err.Error()})
		}
	}
	c.Listen, c.AdminListen, c.Data = text("listen"), text("admin-listen"), text("data")
	c.DatabaseURL, c.RedisURL, c.AMQPURL = text("database-url"), text("redis-url"), text("amqp-url")
	c.MigrateURL = text("migrate-url")
	for i := range all {
		name, ok := strings.CutPrefix(all[i].name, "accept-")
		switch {
		case !ok || all[i].value == "" || all[i].value == "false":
		case all[i].value == "true":
			c.Accept = append(c.Accept, name)
		default:
			wrong(all[i].name, fmt.Errorf("%q is neither true nor false", all[i].value))
		}
	}
	c.BuyerJWKSURL, c.LogFormat = text("buyer-jwks-url"), text("log-format")
	c.CaptchaVerifyURL = text("captcha-verify-url")
	c.BlockList, c.AllowList = text("block-list"), text("allow-list")
	c.Hosts, c.PageOrigins = split(strings.ToLower(text("hosts"))), split(text("page-origins"))

	c.CacheTags = CacheTags(text("cache-tags"))

	var err error
	c.TrustedProxies, err = gate.ParsePrefixes(text("trusted-proxies"))
	wrong("trusted-proxies", err)
	c.parseLimits(text, wrong)
	c.LogLevel, err = parseLevel(text("log-level"))
	wrong("log-level", err)

	c.Payments = Payments(text("payments"))
	if c.Payments == "" {
		c.Payments = c.paymentsDefault()
	}
	return c, faults
}

// The defaults of limits that were not given, where the limit that they go with
// is on.
const (
	limitGuestsDefault = "2:100" // a whole office that opens the page at once gets in
	limitSaleDefault   = "1:10"
)

func (c *Config) parseLimits(text func(name string) string, wrong func(name string, err error)) {
	for _, limit := range []struct {
		name   string
		rate   *gate.Rate
		preset string
		with   *gate.Rate
	}{
		{"limit-address", &c.LimitAddress, "", nil},
		{"limit-buyer", &c.LimitBuyer, "", nil},
		{"limit-guests", &c.LimitGuests, limitGuestsDefault, &c.LimitAddress},
		{"limit-sale", &c.LimitSale, limitSaleDefault, &c.LimitBuyer},
	} {
		value := text(limit.name)
		if value == "" && (limit.with == nil || limit.with.Off()) {
			value = "0"
		}
		var err error
		*limit.rate, err = gate.ParseRate(cmp.Or(value, limit.preset))
		wrong(limit.name, err)
	}
	for name, on := range map[string]*bool{
		"limit-buyer-shared": &c.LimitShared, "rate-limit-headers": &c.LimitHeaders, "suspect-no-page": &c.SuspectNoPage,
	} {
		switch value := text(name); value {
		case "", "false":
		case "true":
			*on = true
		default:
			wrong(name, fmt.Errorf("%q is neither true nor false", value))
		}
	}
	var err error
	c.LimitNetwork, err = parseTimes(text("limit-network"))
	wrong("limit-network", err)
}

// timesMax bounds how many times an address's rate its network may have: as
// many times as an IPv4 /24 has addresses.
const timesMax = 256

func parseTimes(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > timesMax {
		return 0, fmt.Errorf("%q is not a whole number from 0 (no limit) to %d; write such as 16", text, timesMax)
	}
	return n, nil
}

// checkLists reads the list files once: a node that started without a list that
// it was given would let in those whom the list keeps out.
func (c *Config) checkLists() (faults shop.Faults) {
	for _, file := range []struct {
		name, path string
		list       shop.List
	}{{"block-list", c.BlockList, shop.Block}, {"allow-list", c.AllowList, shop.Allow}} {
		if file.path == "" {
			continue
		}
		_, err := gate.ReadEntries(file.list, file.path)
		if lines, ok := errors.AsType[shop.Faults](err); ok {
			faults = append(faults, lines...)
		} else if err != nil {
			faults = append(faults, shop.Fault{Field: c.setting(file.name).label(), Wrong: err.Error()})
		}
	}
	return faults
}

// paymentsDefault pretends to take money only on a loopback address, and only
// while nothing else is known of the node than this machine's names. A proxy on
// this machine may bring strangers all the same: PlayMoney.
func (c *Config) paymentsDefault() Payments {
	elsewhere := func(host string) bool { return !ownName(strings.Trim(host, "[]")) }
	if c.Embedded() && !c.Distributed() && loopback(c.Listen) && !slices.ContainsFunc(c.Hosts, elsewhere) {
		return Sandbox
	}
	return NoPayments
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && ownName(host)
}

// ownName reports whether a host's name or address stands for this machine to
// somebody who sits at it.
func ownName(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}

func split(list string) []string {
	var entries []string
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, strings.ToLower(text)) {
		return level, fmt.Errorf("%q is not a level; write debug, info, warn or error", text)
	}
	return level, level.UnmarshalText([]byte(text))
}

// check judges the values, alone and together.
func (c *Config) check() shop.Faults {
	var faults shop.Faults
	wrong := func(name, text string) {
		if text != "" {
			faults = append(faults, shop.Fault{Field: c.setting(name).label(), Wrong: text})
		}
	}
	wrong("listen", checkListen(c.Listen))
	wrong("admin-listen", checkListen(c.AdminListen))
	if c.Listen == c.AdminListen && !strings.HasSuffix(c.Listen, ":0") {
		wrong("admin-listen", fmt.Sprintf("%s is the buyers' address already; write another port", c.AdminListen))
	}
	if strings.TrimSpace(c.Data) == "" {
		wrong("data", "is empty; write a folder, such as ./doorbuster-data")
	}
	for _, host := range c.Hosts {
		wrong("hosts", checkHost(host))
	}
	for _, origin := range c.PageOrigins {
		wrong("page-origins", checkOrigin(origin))
	}
	if c.CacheTags != NoTags && c.CacheTags.Field() == "" {
		wrong("cache-tags", fmt.Sprintf("%q is not known; write surrogate or tag, or leave it out", string(c.CacheTags)))
	}
	wrong("buyer-jwks-url", checkHTTPS(c.BuyerJWKSURL, "https://shop.example/.well-known/jwks.json"))
	wrong("captcha-verify-url", checkHTTPS(c.CaptchaVerifyURL, "https://challenges.cloudflare.com/turnstile/v0/siteverify"))
	if c.Payments != Sandbox && c.Payments != NoPayments {
		wrong("payments", fmt.Sprintf("%q is not known; write sandbox or none", string(c.Payments)))
	}
	if !slices.Contains([]string{"auto", "json", "text"}, c.LogFormat) {
		wrong("log-format", fmt.Sprintf("%q is not known; write auto, json or text", c.LogFormat))
	}
	c.checkGate(wrong)
	c.checkStores(wrong)
	return append(faults, c.checkLists()...)
}

// checkGate judges settings of the gate that need others.
func (c *Config) checkGate(wrong func(name, text string)) {
	switch {
	case c.LimitShared && c.RedisURL == "":
		wrong("limit-buyer-shared", "needs --redis-url: a node alone counts for itself; set it, or leave --limit-buyer-shared out")
	case c.LimitShared && c.LimitBuyer.Off():
		wrong("limit-buyer-shared", "needs --limit-buyer, which is off")
	}
	switch {
	case c.SuspectNoPage && c.RedisURL != "":
		wrong("suspect-no-page", "is for a node alone: buyers may fetch their page from another node; leave it or --redis-url out")
	case c.SuspectNoPage && c.CacheTags != NoTags:
		wrong("suspect-no-page", "cannot be told behind a CDN, which --cache-tags names pages to; leave one of them out")
	}
}

// checkStores judges the addresses of what a distributed node needs. The URLs
// may hold passwords, so faults do not repeat them.
func (c *Config) checkStores(wrong func(name, text string)) {
	for _, store := range []struct {
		name, url string
		schemes   []string
	}{
		{"database-url", c.DatabaseURL, []string{"postgres", "postgresql"}},
		{"migrate-url", c.MigrateURL, []string{"postgres", "postgresql"}},
		{"redis-url", c.RedisURL, []string{"redis", "rediss"}},
		{"amqp-url", c.AMQPURL, []string{"amqp", "amqps"}},
	} {
		if store.url != "" && !storeURL(store.url, store.schemes) {
			wrong(store.name, "is not an address of that kind; it begins with "+store.schemes[0]+":// and names a host; in a password write %25, %23, %2F, %3F and %40 for % # / ? and @, and %40 behind the host, too")
		}
	}
	if c.MigrateURL != "" && c.DatabaseURL == "" {
		wrong("migrate-url", "needs --database-url, the same database by the user that the node runs as")
	}
	if c.AMQPURL != "" && c.RedisURL == "" {
		wrong("amqp-url", "needs --redis-url (and --database-url): tickets travel through RabbitMQ between nodes that share a stock; "+
			"set them, or leave --amqp-url out")
	}
	if c.RedisURL != "" && c.DatabaseURL == "" {
		wrong("redis-url", "needs --database-url: Redis may lose what it acknowledged, so orders need a ledger that every node shares; "+
			"set both, or leave --redis-url out")
	}
}

// storeURL reports whether address has one of the schemes and names a host.
// Several hosts between commas (Redis Cluster) are no URL to package url.
func storeURL(address string, schemes []string) bool {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || !slices.Contains(schemes, strings.ToLower(scheme)) {
		return false
	}
	user, hosts, _, ok := authority(rest)
	if user = strings.TrimSuffix(user, "@"); !ok || strings.Contains(user, "@") {
		return false
	}
	if _, err := url.PathUnescape(user); err != nil {
		return false
	}
	if query, err := url.Parse(address); err == nil && query.Query().Get("host") != "" { // a socket's folder, as PostgreSQL takes it
		return true
	}
	for host := range strings.SplitSeq(hosts, ",") {
		parsed, err := url.Parse(scheme + "://" + host)
		if err != nil || parsed.Hostname() == "" {
			return false
		}
	}
	return true
}

func checkListen(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Sprintf("%q is not an address; write HOST:PORT, such as 127.0.0.1:8080, or :8080 for all of this machine's", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Sprintf("%q: the port %q is not a number from 0 (any free one) to 65535", address, port)
	}
	return ""
}

func checkHost(host string) string {
	bad := strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-[]:", r)
	})
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if bad || (strings.ContainsAny(host, "[]:") && err != nil) {
		return fmt.Sprintf("%q is not a host's name; write it alone, such as shop.example, without https:// and port", host)
	}
	return ""
}

func checkOrigin(origin string) string {
	if origin == "*" {
		return ""
	}
	parsed, err := url.Parse(origin)
	if err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && origin == parsed.Scheme+"://"+parsed.Host &&
		parsed.Hostname() != "" && origin == strings.ToLower(origin) {
		return ""
	}
	return fmt.Sprintf("%q is not an origin; write scheme and host in small letters and nothing behind, such as https://shop.example, or * for any", origin)
}

func checkHTTPS(address, example string) string {
	if address == "" {
		return ""
	}
	parsed, err := url.Parse(address)
	if err == nil && parsed.Hostname() != "" && parsed.User == nil &&
		(parsed.Scheme == "https" || (parsed.Scheme == "http" && loopback(net.JoinHostPort(parsed.Hostname(), "80")))) {
		return ""
	}
	return "is not an https address; write such as " + example + " (http only for this machine)"
}
