// Package config reads what a node runs by: flags, environment, file and
// defaults, every fault at once; and the sale files that people write.
package config

import (
	"errors"
	"log/slog"
	"net/netip"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Config is everything that a node runs by. Default has the defaults, Read
// the whole of it.
type Config struct {
	Listen      string // buyers' address
	AdminListen string // operators' address
	Hosts       []string
	PageOrigins []string // "*" alone: any
	CacheTags   CacheTags

	Data        string // folder of the embedded ledger, the generated secrets and the sandbox's journal
	DatabaseURL string
	RedisURL    string
	AMQPURL     string
	MigrateURL  string   // of a user who may change the schema; empty: DatabaseURL
	Accept      []string // what Redis may be although it should not: eviction, no-aof, …

	BuyerJWKSURL     string
	CaptchaVerifyURL string // of who judges challenges; empty: proof of work
	TrustedProxies   []netip.Prefix
	LimitAddress     gate.Rate
	LimitNetwork     int // times LimitAddress; 0: off
	LimitGuests      gate.Rate
	LimitBuyer       gate.Rate
	LimitSale        gate.Rate
	LimitShared      bool   // LimitBuyer is counted by all nodes together, too
	LimitHeaders     bool   // RateLimit header fields
	SuspectNoPage    bool   // buyers fetch page and state from this node: whoever did not is suspect
	BlockList        string // a file; empty: none
	AllowList        string
	Payments         Payments

	LogFormat string // auto, json or text
	LogLevel  slog.Level

	BuyerKey      gate.Secret
	AdminToken    gate.Secret
	RootKey       gate.Secret
	PaymentsKey   gate.Secret
	CaptchaSecret gate.Secret

	// AdminTokenFile is where the operators' token lies; empty where the
	// environment holds it.
	AdminTokenFile string

	settings settings
	secrets  []found
}

// Payments is who takes the money.
type Payments string

// The kinds of payments.
const (
	Sandbox    Payments = "sandbox" // a cashier in the node that only pretends
	NoPayments Payments = "none"    // the shop's own cashier reports (POST …/paid)
)

// CacheTags is how a sale's answers are named to a CDN.
type CacheTags string

// The kinds of names.
const (
	NoTags       CacheTags = ""
	SurrogateKey CacheTags = "surrogate"
	CacheTag     CacheTags = "tag"
)

// Field returns the header field that names the sale; empty: none does.
func (c CacheTags) Field() string {
	switch c {
	case SurrogateKey:
		return "Surrogate-Key"
	case CacheTag:
		return "Cache-Tag"
	case NoTags:
	}
	return ""
}

// Default returns the defaults, without secrets.
func Default() *Config {
	all, _ := layer(Flags{}, func(string) string { return "" })
	c, _ := parse(all)
	return c
}

// Read finds every setting and secret. The error holds all faults at once
// (shop.Faults); the Config is there all the same, to be shown. Nothing is
// written: Prepare does that.
func Read(flags Flags, getenv func(string) string) (*Config, error) {
	c, err := Settings(flags, getenv)
	faults, _ := errors.AsType[shop.Faults](err)
	return c, asError(append(faults, c.readSecrets(getenv)...))
}

// Settings is Read without secrets, for commands that write down what a node
// is to run by.
func Settings(flags Flags, getenv func(string) string) (*Config, error) {
	all, faults := layer(flags, getenv)
	c, wrong := parse(all)
	faults = append(faults, wrong...)
	return c, asError(append(faults, c.check()...))
}

// Given returns the text of a setting that is not at its default.
func (c *Config) Given(name string) (value string, ok bool) {
	s := c.setting(name)
	return s.value, s.source != sourceDefault && s.value != ""
}

// Setting returns the text of a setting, given or by default.
func (c *Config) Setting(name string) string { return c.setting(name).value }

// Folder finds --data alone, for commands that need nothing else.
func Folder(flags Flags, getenv func(string) string) (string, error) {
	all, faults := layer(flags, getenv)
	return all.get("data").value, asError(faults)
}

// Ledger finds where the ledger is, for commands that only read it: the
// address of its database, or else its folder.
func Ledger(flags Flags, getenv func(string) string) (databaseURL, folder string, err error) {
	all, faults := layer(flags, getenv)
	c := &Config{settings: all, DatabaseURL: all.get("database-url").value}
	c.checkStores(func(name, text string) {
		faults = append(faults, shop.Fault{Field: c.setting(name).label(), Wrong: text})
	})
	return c.DatabaseURL, all.get("data").value, asError(faults)
}

// Check returns every fault that the values have, alone and together, or nil.
func (c *Config) Check() error {
	faults := c.check()
	for _, spec := range secrets() {
		if wrong := spec.check(*spec.field(c)); wrong != "" {
			faults = append(faults, shop.Fault{Field: spec.name, Wrong: wrong})
		}
	}
	return asError(faults)
}

// Embedded reports whether this node keeps its ledger in its own folder.
func (c *Config) Embedded() bool { return c.DatabaseURL == "" }

// Distributed reports whether this is one of any number of nodes.
func (c *Config) Distributed() bool { return c.RedisURL != "" }

func asError(faults shop.Faults) error {
	if len(faults) == 0 {
		return nil
	}
	return faults
}

// setting returns the setting as it was found, for faults.
func (c *Config) setting(name string) setting {
	if c.settings == nil {
		return setting{name: name}
	}
	return c.settings.get(name)
}
