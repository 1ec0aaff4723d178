package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Flags are the settings as a command line names them; nil is not given. The
// tags are the one table of settings: name, meaning, default (preset). Each
// is also an environment variable and a key of the file (EnvOf).
type Flags struct {
	File *string `name:"config" placeholder:"FILE" help:"Read settings from this YAML file: the names below, without dashes in front."`

	Listen      *string `name:"listen" preset:"127.0.0.1:8080" placeholder:"HOST:PORT" group:"Addresses" help:"Where buyers come in."`
	AdminListen *string `name:"admin-listen" preset:"127.0.0.1:8081" placeholder:"HOST:PORT" group:"Addresses" help:"Where operators come in: API, /metrics, /debug/pprof. Keep it private."`
	Hosts       *string `name:"hosts" placeholder:"NAME,…" group:"Addresses" help:"Names accepted in Host, else 400. Default: any."`
	PageOrigins *string `name:"page-origins" placeholder:"ORIGIN,…" group:"Addresses" help:"Origins whose pages may call the buyers' API (CORS); * is any. Default: none but its own."`
	CacheTags   *string `name:"cache-tags" placeholder:"surrogate|tag" group:"Addresses" help:"Name a sale's page and state to a CDN, as doorbuster-sale-ID in Surrogate-Key (Fastly) or in Cache-Tag (Cloudflare, Akamai), to be forgotten by it. Default: no name."`

	Data        *string `name:"data" preset:"./doorbuster-data" placeholder:"DIR" group:"Storage" help:"Folder of the embedded ledger, the generated secrets and what the sandbox cashier took."`
	DatabaseURL *string `name:"database-url" placeholder:"URL" group:"Storage" help:"postgres://…: the ledger is PostgreSQL. Default: SQLite in --data."`
	MigrateURL  *string `name:"migrate-url" placeholder:"URL" group:"Storage" help:"The same database by a user who may change its schema, used at the start alone. Default: --database-url."`
	RedisURL    *string `name:"redis-url" placeholder:"URL" group:"Storage" help:"redis://host:port[,host:port…]: the fast stock is Redis; several hosts are a Redis Cluster. Needs --database-url. Default: memory."`
	AMQPURL     *string `name:"amqp-url" placeholder:"URL" group:"Storage" help:"amqp://…: tickets travel through RabbitMQ. Needs --redis-url. Default: the stock's own queue."`

	AcceptEviction   *bool `name:"accept-eviction" group:"Redis as it is" help:"Sell although Redis may evict keys (maxmemory-policy is not noeviction)."`
	AcceptNoAOF      *bool `name:"accept-no-aof" group:"Redis as it is" help:"Sell although Redis keeps no append-only file."`
	AcceptNoReplicas *bool `name:"accept-no-replicas" group:"Redis as it is" help:"Sell although a master of the Redis Cluster has no replica."`
	AcceptUnchecked  *bool `name:"accept-unchecked" group:"Redis as it is" help:"Sell although Redis does not let its settings be read."`

	BuyerJWKSURL   *string `name:"buyer-jwks-url" placeholder:"URL" group:"Who may buy" help:"Key set of the shop whose buyer tokens count too (RS256, ES256, EdDSA)."`
	CaptchaURL     *string `name:"captcha-verify-url" placeholder:"URL" group:"Who may buy" help:"Who judges challenges by the siteverify protocol (Turnstile, hCaptcha, reCAPTCHA); needs DOORBUSTER_CAPTCHA_SECRET and a script of the shop's. Default: proof of work."`
	TrustedProxies *string `name:"trusted-proxies" placeholder:"PREFIX,…" group:"Who may buy" help:"Proxies whose X-Forwarded-For counts, such as 10.0.0.0/8. Default: none."`
	LimitAddress   *string `name:"limit-address" preset:"50:100" placeholder:"RATE[:BURST]" group:"Who may buy" help:"Requests a second, and at once, of one address; 0 is off."`
	LimitNetwork   *string `name:"limit-network" preset:"16" placeholder:"N" group:"Who may buy" help:"How many times as much an IPv4 /24 or IPv6 /56 may, and a /48 twice that; 0 is off."`
	LimitGuests    *string `name:"limit-guests" placeholder:"RATE[:BURST]" group:"Who may buy" help:"New guests a second, and at once, of one address; 0 is off. Default: 2:100, or off with --limit-address."`
	LimitBuyer     *string `name:"limit-buyer" preset:"5:10" placeholder:"RATE[:BURST]" group:"Who may buy" help:"The same for the orders of one buyer; 0 is off."`
	LimitShared    *bool   `name:"limit-buyer-shared" group:"Who may buy" help:"Count --limit-buyer for all nodes together, in Redis: where no balancer keeps a buyer at one node."`
	LimitSale      *string `name:"limit-sale" placeholder:"RATE[:BURST]" group:"Who may buy" help:"The same for the orders of one buyer in one sale, repeats aside; 0 is off. Default: 1:10, or off with --limit-buyer."`
	LimitHeaders   *bool   `name:"rate-limit-headers" group:"Who may buy" help:"Tell what is left of the limits: RateLimit and RateLimit-Policy on orders and on 429."`
	SuspectNoPage  *bool   `name:"suspect-no-page" group:"Who may buy" help:"Buyers fetch page and state from this node itself: with challenge: suspicious it counts against an order that nobody at its address did. Not behind a CDN or a cache."`
	BlockList      *string `name:"block-list" placeholder:"FILE" group:"Who may buy" help:"Addresses, prefixes and buyers (buyer:ID) that are turned away, one a line; read again when it changes."`
	AllowList      *string `name:"allow-list" placeholder:"FILE" group:"Who may buy" help:"The same of those that pass the limits."`
	Payments       *string `name:"payments" placeholder:"sandbox|none" group:"Who may buy" help:"Who takes the money: a cashier that only pretends, or the shop's own (POST …/paid). Default: sandbox where a node stands alone on a loopback address and --hosts names nothing but this machine, else none."`

	LogFormat *string `name:"log-format" preset:"auto" placeholder:"auto|json|text" group:"Logs" help:"Lines on stderr; auto is text on a terminal, else json."`
	LogLevel  *string `name:"log-level" preset:"info" placeholder:"LEVEL" group:"Logs" help:"debug, info, warn or error."`
}

const fileFlag = "config"

// IsSetting reports whether a flag of that name is a setting.
func IsSetting(name string) bool {
	all, _ := layer(Flags{}, func(string) string { return "" })
	return name == fileFlag || all.index(name) >= 0
}

// Names returns the names of all settings, as flags have them.
func Names() []string {
	all, _ := layer(Flags{}, func(string) string { return "" })
	var names []string
	for i := range all {
		if all[i].name != fileFlag {
			names = append(names, all[i].name)
		}
	}
	return names
}

// EnvOf returns the environment variable of a setting: admin-listen is
// DOORBUSTER_ADMIN_LISTEN.
func EnvOf(name string) string {
	return "DOORBUSTER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// setting is one value with the place where it was found.
type setting struct {
	name   string
	value  string
	source string
}

// label names the setting in a fault.
func (s setting) label() string {
	if s.source == "" || s.source == sourceDefault {
		return "--" + s.name
	}
	return "--" + s.name + " (" + s.source + ")"
}

const sourceDefault = "default"

// settings are all values in the order of Flags.
type settings []setting

func (s settings) get(name string) setting {
	for i := range s {
		if s[i].name == name {
			return s[i]
		}
	}
	return setting{name: name}
}

// layer finds each setting: flag, else environment, else file, else default.
// An empty environment variable is not set.
func layer(flags Flags, getenv func(string) string) (settings, shop.Faults) {
	var all settings
	given := reflect.ValueOf(flags)
	for i := range given.NumField() {
		field := given.Type().Field(i)
		s := setting{name: field.Tag.Get("name"), value: field.Tag.Get("preset"), source: sourceDefault}
		if flag := given.Field(i); !flag.IsNil() {
			s.value, s.source = fmt.Sprint(flag.Elem().Interface()), "flag"
		} else if env := getenv(EnvOf(s.name)); env != "" {
			s.value, s.source = env, "environment "+EnvOf(s.name)
		}
		all = append(all, s)
	}
	path := all.get(fileFlag)
	if path.value == "" {
		return all, nil
	}
	return all, all.fill(path.value)
}

// fill takes from a file what neither flag nor environment set.
func (s settings) fill(path string) shop.Faults {
	entries, faults := readSettings(path)
	for _, entry := range entries {
		name := strings.ReplaceAll(entry.name, "_", "-")
		i := s.index(name)
		switch {
		case i >= 0 && s[i].source == sourceDefault:
			s[i].value, s[i].source = entry.value, entry.source
		case i >= 0:
		case isSecret(name):
			faults = append(faults, shop.Fault{Field: entry.source, Wrong: fmt.Sprintf(
				"%s is a secret and does not belong here; set %s, or %s_FILE", entry.name, EnvOf(name), EnvOf(name))})
		default:
			faults = append(faults, shop.Fault{Field: entry.source, Wrong: fmt.Sprintf(
				"%q is not a setting; known are %s", entry.name, strings.Join(Names(), ", "))})
		}
	}
	return faults
}

func (s settings) index(name string) int {
	for i := range s {
		if s[i].name == name && name != fileFlag {
			return i
		}
	}
	return -1
}
