package main

import (
	"fmt"
	"strings"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/edge"
)

type deployCompose struct {
	written
	Behind string `placeholder:"PREFIX,…" help:"Proxies in front of this shop whose X-Forwarded-For counts, such as a CDN's. Default: none."`
	config.Flags
}

// Help is what --help says beyond the flags.
func (deployCompose) Help() string {
	return `PostgreSQL, a Redis Cluster, RabbitMQ, three nodes and nginx. Addresses, stores, payments and secrets are its own; limits, names, origins, buyers' keys and the log's level are taken from the settings. What is given and cannot be taken is named, with the reason.

    doorbuster deploy compose --out shop
    doorbuster deploy compose --out shop --hosts drop.shop.example --limit-address 20:60`
}

// notTaken are the settings that nodes of compose do not take over, and why;
// they take all others.
func notTaken() map[string]string {
	const (
		address = "compose.yaml has its own addresses; .env says where buyers and operators come in (BUYERS, OPERATORS)"
		stores  = "the shop has stores of its own"
		redis   = "the shop's own Redis is as it should be"
		file    = "no container has the file; use doorbuster list, which reaches every node"
	)
	return map[string]string{
		"listen": address, "admin-listen": address, "trusted-proxies": "nodes trust the shop's own nginx; write --behind for what stands before that",
		"data": "each node has a volume", "log-format": "containers log json", "payments": "say it in .env (PAYMENTS)",
		"database-url": stores, "migrate-url": stores, "redis-url": stores, "amqp-url": stores,
		"accept-eviction": redis, "accept-no-aof": redis, "accept-no-replicas": redis, "accept-unchecked": redis,
		"block-list": file, "allow-list": file,
		"captcha-verify-url": "its secret is none of those that secrets.sh makes; add both to compose.override.yaml",
		"suspect-no-page":    "nginx keeps page and state for the nodes, which then see nobody load them",
	}
}

// Run writes the files.
func (c deployCompose) Run(p program) error {
	given, _ := config.Settings(c.Flags, p.getenv) // with faults, which siteOf names
	env, left := taken(given)
	// The settings as nodes have them: some go with a Redis alone.
	database, redis, none, off := "postgres://postgres/doorbuster", "redis://redis-1", "", false
	c.DatabaseURL, c.RedisURL, c.MigrateURL, c.AMQPURL, c.CaptchaURL = &database, &redis, &none, &none, &none
	c.BlockList, c.AllowList, c.SuspectNoPage = &none, &none, &off
	_, site, err := siteOf(c.Flags, p)
	if err != nil {
		return err
	}
	if site.Proxy, err = (proxied{Behind: c.Behind}).proxy(); err != nil {
		return misused(err)
	}
	site.Service.Env = env
	return c.write(p, edge.Compose, site, append(left, "cd "+c.at("")+" && ./secrets.sh",
		"build the image doorbuster:dev from the sources (docker build -t doorbuster:dev .), and say in .env where the sale is (.env.example)",
		"docker compose up --detach")...)
}

// taken is what nodes of compose are told, and what they do without.
func taken(given *config.Config) (env []edge.Env, left []string) {
	reasons := notTaken()
	for _, name := range config.Names() {
		value, ok := given.Given(name)
		reason := reasons[name]
		if reason == "" && strings.HasSuffix(name, "-url") && config.RedactURL(value) != value {
			reason = "it may hold a secret, and everybody can read the file; add it to compose.override.yaml and close that"
		}
		switch {
		case !ok:
		case reason != "":
			left = append(left, fmt.Sprintf("do without --%s: %s", name, reason))
		default:
			env = append(env, edge.Env{Name: config.EnvOf(name), Value: value})
		}
	}
	return env, left
}
