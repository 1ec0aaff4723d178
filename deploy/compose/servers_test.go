package compose_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/postgres"
	"github.com/doorbuster/doorbuster/internal/redis"
	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func freeAddress(t *testing.T) (address, port string) {
	t.Helper()
	address, err := servers.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return address, port
}

func TestNginxTakesItsFile(t *testing.T) {
	dir := t.TempDir()
	_, port := freeAddress(t)
	text := strings.NewReplacer("/tmp/", dir+"/", "listen 8080;", "listen 127.0.0.1:"+port+";").Replace(read(t, "nginx.conf"))
	text = regexp.MustCompile(`node-\d:8080`).ReplaceAllString(text, "127.0.0.1:8080")
	out, err := servers.Output(t.Context(), "nginx", "-t", "-p", dir, "-e", "stderr", "-c", write(t, filepath.Join(dir, "nginx.conf"), text))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "[warn]") && os.Geteuid() != 0 {
		t.Error(out)
	}
}

// startRedis starts a server with redis.conf in a folder of its own.
func startRedis(t *testing.T, secrets string) string {
	t.Helper()
	dir := t.TempDir()
	address, port := freeAddress(t)
	_, bus := freeAddress(t)
	text := strings.NewReplacer("port 6379", "port "+port+"\nbind 127.0.0.1\ncluster-port "+bus, "dir /data", "dir "+dir, "/run/secrets", secrets).Replace(read(t, "redis.conf"))
	process, err := servers.Start(servers.Command{
		Name: "redis-server", Args: []string{write(t, filepath.Join(dir, "redis.conf"), text)}, Log: filepath.Join(dir, "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
	err = process.Until(t.Context(), func() error {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func TestTheScriptMakesAClusterOfRealServersOnce(t *testing.T) {
	secrets := makeSecrets(t)
	args := []string{"redis-cluster.sh"}
	for range 6 {
		args = append(args, startRedis(t, secrets))
	}
	env := []string{"SECRETS=" + secrets}
	if out := script(t, env, "/bin/sh", args...); !strings.Contains(out, "All 16384 slots covered") {
		t.Errorf("it says %s", out)
	}
	if out := script(t, env, "/bin/sh", args...); out != "redis-cluster: all slots are served\n" {
		t.Errorf("the second time it says %q", out)
	}
	settings, err := config.Read(config.Flags{}, func(name string) string {
		return map[string]string{"DOORBUSTER_CONFIG": filepath.Join(secrets, "doorbuster.yaml")}[name]
	})
	if settings.RedisURL == "" {
		t.Fatal(err)
	}
	sells(t, regexp.MustCompile(`@.*`).ReplaceAllString(settings.RedisURL, "@"+strings.Join(args[1:], ",")))
}

// sells wants a node's user to find nothing wrong with the cluster, and to be
// able to sell.
func sells(t *testing.T, url string) {
	t.Helper()
	client, err := redis.Open(t.Context(), redis.Options{URL: url, Ledger: "shop", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if client.Masters() != 3 {
		t.Errorf("%d masters, want 3", client.Masters())
	}
	for _, warning := range client.Warnings() {
		if !strings.Contains(warning, "script engine has known holes") { // the tests' Redis is a distribution's
			t.Errorf("it warns: %s", warning)
		}
	}
	counter := client.Stock()
	for number := range client.Masters() {
		bucket := shop.Bucket{Sale: "drop", Number: number}
		err := counter.Start(t.Context(), bucket, 1)
		if err == nil {
			err = counter.ApplyGrant(t.Context(), bucket, 1, stock.Grant{Number: 1, SKU: "a", Quantity: 1})
		}
		if err != nil {
			t.Fatal(err)
		}
		answers, err := counter.Reserve(t.Context(), bucket, []stock.Ask{{Buyer: "ann", SKU: "a", Quantity: 1, Limit: 1, Live: stock.LiveUnknown}}, nil)
		if err != nil || answers[0].Outcome != stock.Pending {
			t.Errorf("%s: %v, %v", bucket, answers, err)
		}
	}
}

// A node whose users came to be as here works as the roles, without a warning,
// and can change nothing that it should not.
func TestANodeFindsItsRolesInTheDatabase(t *testing.T) {
	server, err := servers.StartPostgres(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	host, port, err := net.SplitHostPort(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	script(t, []string{"SECRETS=" + makeSecrets(t), "POSTGRES_USER=postgres", "PGHOST=" + host, "PGPORT=" + port}, "./postgres.sh")

	url := func(user string) string {
		return fmt.Sprintf("postgres://%s@%s/doorbuster?sslmode=disable", user, server.Address)
	}
	begin := time.Now()
	for range 2 { // the second start finds everything made
		ledger, err := postgres.Open(t.Context(), postgres.Options{
			URL: url("doorbuster_node"), MigrateURL: url("doorbuster_owner"), Ticks: func() time.Duration { return time.Since(begin) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if warnings := ledger.Warnings(); len(warnings) > 0 {
			t.Errorf("it warns: %s", warnings)
		}
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, statement := range []string{
		"DELETE FROM doorbuster.lines", "UPDATE doorbuster.lines SET quantity = 1", "DROP TABLE doorbuster.lines",
		"CREATE TABLE doorbuster.mine ()", "CREATE SCHEMA mine",
	} {
		if out, err := servers.Output(context.WithoutCancel(t.Context()), "psql", "-X", "-c", statement, url("doorbuster_node")); err == nil {
			t.Errorf("the node's user may %s: %s", statement, out)
		}
	}
}
