package config_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/gate"
)

// environment is a getenv over a list of pairs.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheDefaultsHaveNoFault(t *testing.T) {
	c, err := config.Read(config.Flags{Data: new(t.TempDir())}, environment())
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if c.Listen != "127.0.0.1:8080" || c.AdminListen != "127.0.0.1:8081" || !c.Embedded() {
		t.Errorf("got %+v", c)
	}
	if c.LimitAddress != (gate.Rate{PerSecond: 50, Burst: 100}) || c.LimitBuyer != (gate.Rate{PerSecond: 5, Burst: 10}) {
		t.Errorf("limits are %v and %v", c.LimitAddress, c.LimitBuyer)
	}
	if c.Payments != config.Sandbox {
		t.Errorf("payments are %q, want the sandbox: nobody from outside comes in", c.Payments)
	}
	if got := config.Default().Data; got != "./doorbuster-data" {
		t.Errorf("data is %q", got)
	}
}

func TestAFlagBeatsTheEnvironmentBeatsTheFileBeatsTheDefault(t *testing.T) {
	file := write(t, "node.yaml", "listen: 127.0.0.1:1\nadmin_listen: 127.0.0.1:2\nlog-level: debug\nhosts: [a.example, b.example]\nlimit_buyer: 7\n")
	c, err := config.Read(
		config.Flags{File: &file, Data: new(t.TempDir()), Listen: new("127.0.0.1:3")},
		environment("DOORBUSTER_LISTEN", "127.0.0.1:4", "DOORBUSTER_ADMIN_LISTEN", "127.0.0.1:5", "DOORBUSTER_LOG_FORMAT", "json"),
	)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if c.Listen != "127.0.0.1:3" || c.AdminListen != "127.0.0.1:5" || c.LogLevel != slog.LevelDebug || c.LogFormat != "json" {
		t.Errorf("got %+v", c)
	}
	if strings.Join(c.Hosts, " ") != "a.example b.example" || c.LimitBuyer.String() != "7:7" {
		t.Errorf("hosts %v, limit %v", c.Hosts, c.LimitBuyer)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# flag", "# environment DOORBUSTER_ADMIN_LISTEN", "# " + file + ":3", "# default"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestEveryFaultOfTheConfigurationIsToldAtOnce(t *testing.T) {
	file := write(t, "node.yaml", "listen: 8080\nport: 1\nbuyer_key: abc\nlog_level: loud\nhosts:\n  a: b\n")
	_, err := config.Read(config.Flags{
		File: &file, Data: new(t.TempDir()), AdminListen: new("127.0.0.1:99999"), LimitAddress: new("fast"), TrustedProxies: new("10.0.0.0/33"),
		RedisURL: new("redis://:canary@127.0.0.1:6379"), BuyerJWKSURL: new("http://shop.example/keys"), Payments: new("stripe"),
		PageOrigins: new("https://shop.example/"), CacheTags: new("fastly"),
	}, environment("DOORBUSTER_LOG_FORMAT", "xml", "DOORBUSTER_BUYER_KEY", "canary", "DOORBUSTER_ADMIN_TOKEN", "x", "DOORBUSTER_ADMIN_TOKEN_FILE", "y"))
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{
		"--listen (" + file + ":1): ", file + `:2: "port" is not a setting`, file + ":3: buyer_key is a secret", "--log-level (" + file + ":4)",
		file + ":5: hosts is neither", "--admin-listen (flag)", "--limit-address (flag)", "--trusted-proxies (flag)",
		"--redis-url (flag): needs --database-url", "--buyer-jwks-url (flag)", "--payments (flag)", "--page-origins (flag)", "--cache-tags (flag)",
		"--log-format (environment DOORBUSTER_LOG_FORMAT)", "DOORBUSTER_BUYER_KEY: has 6 bytes; it needs 32", "DOORBUSTER_ADMIN_TOKEN: is set, and so is",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q among the faults", want)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Error("a fault shows a secret")
	}
	t.Logf("\n%v", err)
}

func TestStoresOfSeveralNodesGoTogether(t *testing.T) {
	database, redis := "postgres://doorbuster@db.example/doorbuster", "redis://a.example:6379,b.example:6379"
	secrets := environment(
		"DOORBUSTER_BUYER_KEY", strings.Repeat("b", 32), "DOORBUSTER_ADMIN_TOKEN", strings.Repeat("a", 32), "DOORBUSTER_ROOT_KEY", strings.Repeat("r", 32))
	c, err := config.Read(config.Flags{
		Data: new(t.TempDir()), DatabaseURL: &database, RedisURL: &redis, AMQPURL: new("amqp://guest:guest@mq.example:5672/%2f"),
		AcceptNoAOF: new(true), AcceptEviction: new(false),
	}, secrets)
	if err != nil || !c.Distributed() || c.Embedded() || c.Payments != config.NoPayments || strings.Join(c.Accept, " ") != "no-aof" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := config.Read(config.Flags{Data: new(t.TempDir()), DatabaseURL: new("postgres:///shop?host=/run/postgresql")}, environment()); err != nil {
		t.Errorf("a database behind a socket: %v", err)
	}
	for want, flags := range map[string]config.Flags{
		"--database-url (flag): is not an address":                        {DatabaseURL: new("mysql://db.example")},
		"--redis-url (flag): needs --database-url":                        {RedisURL: &redis},
		"--amqp-url (flag): needs --redis-url":                            {DatabaseURL: &database, AMQPURL: new("amqp://mq.example")},
		"--migrate-url (flag): needs --database-url":                      {MigrateURL: &database},
		"DOORBUSTER_PAYMENTS_KEY: is not set; with --redis-url all nodes": {DatabaseURL: &database, RedisURL: &redis, Payments: new("sandbox")},
	} {
		flags.Data = new(t.TempDir())
		if _, err := config.Read(flags, secrets); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q among the faults: %v", want, err)
		}
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "root-key"), []byte(strings.Repeat("x", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = config.Read(config.Flags{Data: &folder, DatabaseURL: &database, RedisURL: &redis}, environment())
	for _, name := range []string{"BUYER_KEY", "ADMIN_TOKEN", "ROOT_KEY"} {
		if err == nil || !strings.Contains(err.Error(), "DOORBUSTER_"+name+": is not set; with --redis-url all nodes need the same one") {
			t.Errorf("a node among several made its own %s: %v", name, err)
		}
	}
}

func TestMoneyIsOnlyPretendedWhereNoStrangerComesIn(t *testing.T) {
	for listen, want := range map[string]config.Payments{
		"127.0.0.1:8080": config.Sandbox, "localhost:1": config.Sandbox, "[::1]:0": config.Sandbox,
		":8080": config.NoPayments, "0.0.0.0:8080": config.NoPayments, "shop.example:80": config.NoPayments,
	} {
		c, err := config.Read(config.Flags{Data: new(t.TempDir()), Listen: &listen}, environment())
		if err != nil || c.Payments != want {
			t.Errorf("%s: payments %q (%v), want %q", listen, c.Payments, err, want)
		}
	}
	for hosts, want := range map[string]config.Payments{
		"localhost,127.0.0.1,[::1],127.8.8.8": config.Sandbox,
		"shop.example":                        config.NoPayments, "localhost,shop.example": config.NoPayments, "192.168.1.2": config.NoPayments, "localhost.example": config.NoPayments,
	} {
		c, err := config.Read(config.Flags{Data: new(t.TempDir()), Hosts: &hosts}, environment())
		if err != nil || c.Payments != want {
			t.Errorf("known as %s: payments %q (%v), want %q", hosts, c.Payments, err, want)
		}
	}
	c, err := config.Read(config.Flags{Data: new(t.TempDir()), Listen: new(":8080"), Hosts: new("shop.example"), Payments: new("sandbox")}, environment())
	if err != nil || c.Payments != config.Sandbox {
		t.Errorf("asked for: payments %q (%v), want the sandbox", c.Payments, err)
	}
}

func TestPlayMoneyThatNobodyChoseIsADoubt(t *testing.T) {
	for name, c := range map[string]struct {
		flags config.Flags
		want  string
	}{
		"this machine alone":       {config.Flags{}, ""},
		"behind a proxy":           {config.Flags{TrustedProxies: new("127.0.0.1")}, "with --trusted-proxies others"},
		"from a shop's pages":      {config.Flags{PageOrigins: new("https://shop.example")}, "with --page-origins others"},
		"behind a proxy, chosen":   {config.Flags{TrustedProxies: new("127.0.0.1"), PageOrigins: new("*"), Payments: new("sandbox")}, ""},
		"real money":               {config.Flags{TrustedProxies: new("127.0.0.1"), Payments: new("none")}, ""},
		"a name that is elsewhere": {config.Flags{TrustedProxies: new("127.0.0.1"), Hosts: new("shop.example")}, ""},
	} {
		c.flags.Data = new(t.TempDir())
		settings, err := config.Read(c.flags, environment())
		doubts := strings.Join(settings.Doubts(), "\n")
		if err != nil || (doubts == "") != (c.want == "") || !strings.Contains(doubts, c.want) || (c.want != "" && !strings.Contains(doubts, "--payments none")) {
			t.Errorf("%s: doubts %q (%v), want %q", name, doubts, err, c.want)
		}
	}
}

func TestAddressesHostsAndOriginsAreChecked(t *testing.T) {
	bad := func(flags config.Flags, flag string) {
		t.Helper()
		flags.Data = new(t.TempDir())
		if _, err := config.Read(flags, environment()); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s is taken: %v", flag, err)
		}
	}
	for _, address := range []string{"8080", "localhost", "1.2.3.4:http", "1.2.3.4:070", "::1:80", "1.2.3.4:65536"} {
		bad(config.Flags{Listen: &address}, "--listen")
	}
	for _, host := range []string{"https://shop.example", "shop.example:443", "a b", "[::1]:80", "größe.example"} {
		bad(config.Flags{Hosts: &host}, "--hosts")
	}
	for _, origin := range []string{"shop.example", "https://shop.example/", "HTTPS://shop.example", "null", "https://a@shop.example", "ftp://x"} {
		bad(config.Flags{PageOrigins: &origin}, "--page-origins")
	}
	bad(config.Flags{Listen: new(":9"), AdminListen: new(":9")}, "--admin-listen")
}

func TestGoodHostsAndOriginsPass(t *testing.T) {
	c, err := config.Read(config.Flags{
		Data: new(t.TempDir()), Hosts: new("Shop.example, 127.0.0.1,[::1], localhost"), PageOrigins: new("https://shop.example,http://localhost:3000"),
		Listen: new("127.0.0.1:0"), AdminListen: new("127.0.0.1:0"),
	}, environment())
	if err != nil {
		t.Fatal(err)
	}
	if c.Hosts[0] != "shop.example" || len(c.Hosts) != 4 || len(c.PageOrigins) != 2 {
		t.Errorf("got %v and %v", c.Hosts, c.PageOrigins)
	}
}

func TestWhatIsPrintedCanBeReadBack(t *testing.T) {
	c, err := config.Read(config.Flags{
		Data: new(t.TempDir()), Hosts: new("a.example,b.example"), PageOrigins: new("*"), LimitBuyer: new("0"),
	}, environment("DOORBUSTER_BUYER_KEY", strings.Repeat("canary", 6)))
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err := c.Print(&first); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(first.String(), "canary") {
		t.Errorf("a secret is shown:\n%s", first.String())
	}
	file := write(t, "printed.yaml", first.String())
	again, err := config.Read(config.Flags{File: &file}, environment())
	if err != nil {
		t.Fatalf("%v in\n%s", err, first.String())
	}
	if err := again.Print(&second); err != nil {
		t.Fatal(err)
	}
	value := func(text string) string {
		var kept []string
		for line := range strings.Lines(text) {
			setting, _, _ := strings.Cut(line, "#")
			kept = append(kept, strings.TrimSpace(setting))
		}
		return strings.Join(kept, "\n")
	}
	if value(first.String()) != value(second.String()) {
		t.Errorf("printed\n%s\nread back\n%s", first.String(), second.String())
	}
}

func TestPasswordsInAddressesAreNotPrinted(t *testing.T) {
	c, _ := config.Read(config.Flags{
		Data: new(t.TempDir()), DatabaseURL: new("postgres://u:canary@db/x"), RedisURL: new("redis://:canary@a:1,b:2"),
	}, environment())
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("printed:\n%s", out.String())
	}
}

func TestNoFormOfAnAddressShowsItsPassword(t *testing.T) {
	for _, address := range []string{
		"postgres://u:canary@h/d", "postgres://u:x@h/d?password=canary&sslmode=require", "postgres://h/d?sslpassword=canary",
		"redis://u:canary@h:1,u:canary@i:2", "host=h password=canary user=u", "postgres://u:can%ary@h/d?password=canary",
	} {
		c, err := config.Read(config.Flags{Data: new(t.TempDir()), DatabaseURL: &address, MigrateURL: &address, RedisURL: &address}, environment())
		var out bytes.Buffer
		if printed := c.Print(&out); printed != nil {
			t.Fatal(printed)
		}
		if strings.Contains(out.String(), "canary") || strings.Contains(out.String(), "can%ary") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s is shown:\n%s%v", address, out.String(), err)
		}
	}
}

func TestAPasswordThatNeedsEscapesIsAFault(t *testing.T) {
	for _, address := range []string{"postgres://u:a%zz@h/d", "postgres://u:p#ss@h/d", "postgres://u:p@ss@h/d"} {
		_, err := config.Read(config.Flags{Data: new(t.TempDir()), DatabaseURL: &address}, environment())
		if err == nil || !strings.Contains(err.Error(), "write %25, %23") {
			t.Errorf("%s: %v", address, err)
		}
	}
	good := "postgres://u:a%25%23%40b@h/d"
	if _, err := config.Read(config.Flags{Data: new(t.TempDir()), DatabaseURL: &good}, environment()); err != nil {
		t.Errorf("%s: %v", good, err)
	}
	_, err := config.Read(config.Flags{Data: new(t.TempDir()), RedisURL: new("redis://h:1")}, environment())
	if err == nil || strings.Contains(err.Error(), "PAYMENTS_KEY") {
		t.Errorf("a key that nobody needs is asked for: %v", err)
	}
}
