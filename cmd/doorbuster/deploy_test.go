package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/doorbuster/doorbuster/internal/config"
)

// odd returns a value for every setting that is not its default. A setting
// without one here is new: think of what deploy makes of it.
func odd(t *testing.T) map[string]string {
	t.Helper()
	list := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(list, []byte("192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"listen": ":1080", "admin-listen": ":1081", "hosts": "drop.shop.example", "page-origins": "https://shop.example", "cache-tags": "tag",
		"data": "/srv/shop", "database-url": "postgres://shop@db/shop", "migrate-url": "postgres://owner@db/shop", "redis-url": "redis://r1:6379", "amqp-url": "amqp://mq/shop",
		"accept-eviction": "true", "accept-no-aof": "true", "accept-no-replicas": "true", "accept-unchecked": "true",
		"buyer-jwks-url": "https://shop.example/keys", "captcha-verify-url": "https://captcha.example/verify", "trusted-proxies": "10.0.0.2",
		"limit-address": "20:60", "limit-network": "4", "limit-guests": "1:7", "limit-buyer": "3:6", "limit-buyer-shared": "true", "limit-sale": "1:3",
		"rate-limit-headers": "true", "suspect-no-page": "true", "block-list": list, "allow-list": list, "payments": "sandbox",
		"log-format": "text", "log-level": "debug",
	}
	for _, name := range config.Names() {
		if all[name] == "" || all[name] == config.Default().Setting(name) {
			t.Errorf("--%s has no value here that is not its default", name)
		}
	}
	return all
}

// without returns a getenv over all settings but those.
func without(all map[string]string, names ...string) func(string) string {
	env := map[string]string{}
	for name, value := range all {
		if !slices.Contains(names, name) {
			env[config.EnvOf(name)] = value
		}
	}
	return func(name string) string { return env[name] }
}

// deploy runs a deploy command and returns its folder and what it said.
func deploy(t *testing.T, getenv func(string) string, args ...string) (folder, said string) {
	t.Helper()
	folder = t.TempDir()
	var out bytes.Buffer
	if code := run(t.Context(), append(append([]string{"deploy"}, args...), "--out", folder), program{getenv: getenv, stdout: &out, stderr: &out}); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, out.String())
	}
	return folder, out.String()
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestComposeTakesEverySettingOrNamesIt(t *testing.T) {
	all := odd(t)
	folder, said := deploy(t, without(all), "compose")
	var override struct {
		Settings struct {
			Environment map[string]string `yaml:"environment"`
		} `yaml:"x-settings"`
		Services map[string]any `yaml:"services"`
	}
	readYAML(t, filepath.Join(folder, "compose.override.yaml"), &override)
	for name, value := range all {
		got, taken := override.Settings.Environment[config.EnvOf(name)]
		named := strings.Contains(said, "next: do without --"+name+": ")
		if taken == named || (taken && got != value) {
			t.Errorf("--%s %s: taken as %q, named as left out: %t", name, value, got, named)
		}
	}
	for _, want := range []string{"hosts", "limit-address", "limit-network", "limit-guests", "limit-buyer", "limit-buyer-shared", "limit-sale", "rate-limit-headers"} {
		if _, taken := override.Settings.Environment[config.EnvOf(want)]; !taken {
			t.Errorf("--%s is not taken", want)
		}
	}
	for name := range notTaken() {
		if all[name] == "" {
			t.Errorf("%s is no setting", name)
		}
	}
	// What is taken makes a configuration of a node with the shop's stores.
	env := override.Settings.Environment
	env["DOORBUSTER_DATABASE_URL"], env["DOORBUSTER_REDIS_URL"] = "postgres://postgres/shop", "redis://redis-1"
	if _, err := config.Settings(config.Flags{}, func(name string) string { return env[name] }); err != nil {
		t.Errorf("no node starts with that: %v", err)
	}
	if _, said := deploy(t, without(nil), "compose"); strings.Contains(said, "do without") {
		t.Errorf("nothing was given, and it says\n%s", said)
	}
	secret := map[string]string{"buyer-jwks-url": "https://shop.example/keys?token=canary", "hosts": "shop.example"}
	folder, said = deploy(t, without(secret), "compose")
	text, err := os.ReadFile(filepath.Join(folder, "compose.override.yaml"))
	if err != nil || bytes.Contains(text, []byte("canary")) || !strings.Contains(said, "do without --buyer-jwks-url: it may hold a secret") {
		t.Errorf("a secret in an address: %v\n%s%s", err, said, text)
	}
}

func TestAServiceTakesEverySettingOrNamesIt(t *testing.T) {
	all := odd(t)
	for _, left := range [][]string{
		{"suspect-no-page"}, // of several nodes
		{"database-url", "migrate-url", "redis-url", "amqp-url", "limit-buyer-shared", "cache-tags"}, // of one alone
	} {
		folder, said := deploy(t, without(all, left...), "systemd")
		path := filepath.Join(folder, "doorbuster.yaml")
		settings, err := config.Settings(config.Flags{File: &path}, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range all {
			if slices.Contains(left, name) {
				continue
			}
			named := strings.Contains(said, "next: do without --"+name+" "+value+": ")
			if got := settings.Setting(name); (got == value) == named {
				t.Errorf("--%s %s: taken as %q, named as left out: %t", name, value, got, named)
			}
		}
		service, err := os.ReadFile(filepath.Join(folder, "doorbuster.service"))
		if err != nil || !bytes.Contains(service, []byte("DOORBUSTER_CAPTCHA_SECRET_FILE=%d/captcha-secret")) {
			t.Errorf("the service does not get the captcha's secret (%v):\n%s", err, service)
		}
	}
}

func TestAServicesListIsFoundWhereverItIsStarted(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("block.txt", []byte("192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, said := deploy(t, without(map[string]string{"block-list": "block.txt"}), "systemd")
	var settings map[string]string
	readYAML(t, filepath.Join(folder, "doorbuster.yaml"), &settings)
	if list := settings["block-list"]; !filepath.IsAbs(list) || !strings.Contains(said, "read "+list) {
		t.Errorf("the list is %q, and it says\n%s", list, said)
	}
}
