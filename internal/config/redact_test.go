package config_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/config"
)

func TestOfAnAddressEverythingButItsPasswordIsShown(t *testing.T) {
	for address, want := range map[string]string{
		"":                                                      "",
		"postgres://db/shop":                                    "postgres://db/shop",
		"postgres://shop@db/shop":                               "postgres://shop@db/shop", // no password is invented
		"postgres://shop:canary@db/shop":                        "postgres://shop:xxxxx@db/shop",
		"postgres://shop:can,ary@db/shop":                       "postgres://shop:xxxxx@db/shop",
		"postgres://shop:ca,n:a,ry@a,b:1/shop":                  "postgres://shop:xxxxx@a,b:1/shop",
		"postgres://shop:can@ary@db/shop":                       "postgres://shop:xxxxx@db/shop",
		"postgres://shop:can%2Fa%40r%25y@db/s":                  "postgres://shop:xxxxx@db/s",
		"postgres://shop:@db/shop":                              "postgres://shop:xxxxx@db/shop",
		"postgres:///shop?host=/run/postgresql&user=shop":       "postgres:///shop?host=/run/postgresql&user=shop",
		"postgres://db/x?password=canary&sslmode=require":       "postgres://db/x?password=xxxxx&sslmode=require",
		"postgres://db/x?sslpassword=canary":                    "postgres://db/x?sslpassword=xxxxx",
		"postgres://db/x?pass%77ord=canary":                     "postgres://db/x?pass%77ord=xxxxx",
		"postgres://db/x?password=can&ary&a=ry&sslmode=require": "postgres://db/x?password=xxxxx&xxxxx&xxxxx&sslmode=require",
		"postgres://db/x?password=can/a?r#y&sslmode=require":    "postgres://db/x?password=xxxxx&sslmode=require",
		"postgres://db/x?search_path=a&application_name=shop":   "postgres://db/x?search_path=a&application_name=shop",
		"redis://:can,ary@a:1,b:2/0":                            "redis://:xxxxx@a:1,b:2/0",
		"redis://a:canary@h1,b:canary@h2":                       "redis://a:xxxxx@h2",
		"redis://h1:6379,h2:6379,[2001:db8::1]:6379":            "redis://h1:6379,h2:6379,[2001:db8::1]:6379",
		"amqps://shop:can,ary@mq:5671/%2f":                      "amqps://shop:xxxxx@mq:5671/%2f",
		"https://shop.example/keys?access_token=canary":         "https://shop.example/keys?access_token=xxxxx",
	} {
		if got := config.RedactURL(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
}

// Where it cannot be told what is a password, nothing is shown, and no node
// starts: neither would the clients of the stores know.
func TestOfAnAddressThatCanBeReadInTwoWaysNothingIsShown(t *testing.T) {
	for _, scheme := range []string{"postgres", "redis", "amqp"} {
		for _, rest := range []string{
			"u:can/ary@h/d", "u:12/canary@h/d", "u:canary@12/ary@h/d", "u:can?ary@h/d", "u:12?canary@h", "u:can#ary@h/d", "u:12#canary@h/d",
			"u:12/canary?ary@h/d", "u:canary", ":canary", "u:can%ary", "h/d?password=can@ary", "u:canary@h:can/x@y", "u:12,canary/@h",
		} {
			address := scheme + "://" + rest
			got := config.RedactURL(address)
			if !strings.HasPrefix(got, "[not shown") {
				t.Errorf("%s is shown as %s", address, got)
			}
			flags := config.Flags{Data: new(t.TempDir())}
			map[string]func(){
				"postgres": func() { flags.DatabaseURL = &address },
				"redis":    func() { flags.RedisURL = &address },
				"amqp":     func() { flags.AMQPURL = &address },
			}[scheme]()
			c, err := config.Read(flags, environment())
			if err == nil || !strings.Contains(err.Error(), "is not an address of that kind") || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v, want a fault without the password", address, err)
			}
			var out bytes.Buffer
			if err := c.Print(&out); err != nil || strings.Contains(out.String(), "canary") || strings.Contains(out.String(), "ary@") {
				t.Errorf("%s is printed (%v):\n%s", address, err, out.String())
			}
		}
	}
	for _, odd := range []string{"host=h password=canary", "u:canary@h", "u:canary@h://x", "postgres:/u:canary@h", "host=h password=can://ary"} {
		if got := config.RedactURL(odd); got != "[not shown: not an address]" {
			t.Errorf("%s is shown as %s", odd, got)
		}
	}
}

func TestAPasswordWithACommaIsTaken(t *testing.T) {
	c, err := config.Read(config.Flags{Data: new(t.TempDir()), DatabaseURL: new("postgres://user:se,cret@db/x")}, environment())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil || !strings.Contains(out.String(), "'postgres://user:xxxxx@db/x'") {
		t.Errorf("printed (%v):\n%s", err, out.String())
	}
}
