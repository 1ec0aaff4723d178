// Package compose is a whole shop of three nodes for Docker Compose, as it
// lies here and as doorbuster deploy compose writes it.
package compose

import "embed"

// Files are the shop, but for what is rendered from settings: nginx.conf,
// which internal/edge writes.
//
//go:embed compose.yaml .env.example .gitignore postgres.sh rabbitmq.conf redis-cluster.sh redis.conf secrets.sh
var Files embed.FS
