package compose_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/deploy/compose"
	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/redis"
)

// scriptMax bounds a script of this folder.
const scriptMax = 2 * time.Minute

// script runs a script and returns what it printed.
func script(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptMax)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// makeSecrets runs secrets.sh on a copy of itself and returns the folder made.
func makeSecrets(t *testing.T) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "secrets.sh")
	if err := os.WriteFile(copied, []byte(read(t, "secrets.sh")), 0o700); err != nil {
		t.Fatal(err)
	}
	script(t, nil, copied)
	return filepath.Join(filepath.Dir(copied), "secrets")
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		all[entry.Name()] = read(t, filepath.Join(dir, entry.Name()))
	}
	return all
}

func TestSecretsAreMadeOnceAndClosedToOthers(t *testing.T) {
	dir := makeSecrets(t)
	first := contents(t, dir)
	if out := script(t, nil, filepath.Join(filepath.Dir(dir), "secrets.sh")); out != "" {
		t.Errorf("made anew: %s", out)
	}
	for name, secret := range load(t).Secrets {
		base := filepath.Base(secret.File)
		if first[base] == "" {
			t.Errorf("secrets.sh does not make %s", name)
		}
		if contents(t, dir)[base] != first[base] {
			t.Errorf("%s changed", name)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %o, want 700", info.Mode().Perm())
	}
}

// The nodes' environment and secrets, read as a node reads them, are a
// configuration of one of several nodes without a fault.
func TestANodeTakesItsConfiguration(t *testing.T) {
	dir := makeSecrets(t)
	defaults := regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`)
	load(t).each(t, "node-", 3, func(t *testing.T, s service) {
		given := map[string]bool{}
		for _, secret := range s.Secrets {
			given[secret.Target] = true
		}
		settings, err := config.Read(config.Flags{}, func(name string) string {
			value := defaults.ReplaceAllString(s.Environment[name], "$1")
			if file, ok := strings.CutPrefix(value, "/run/secrets/"); ok {
				if !given[value] {
					t.Errorf("%s is %s, which it is not given", name, value)
				}
				value = filepath.Join(dir, file)
			}
			return value
		})
		if err != nil {
			t.Fatal(err)
		}
		if !settings.Distributed() || settings.AMQPURL == "" || settings.MigrateURL == "" {
			t.Error("it is not one of several nodes with a broker and an owner of the schema")
		}
		if settings.Payments != config.Sandbox {
			t.Errorf("payments are %q, want the sandbox: only this machine's users come in", settings.Payments)
		}
		if len(settings.Accept) > 0 {
			t.Errorf("it accepts %v", settings.Accept)
		}
		p := load(t)
		for _, url := range []string{settings.DatabaseURL, settings.MigrateURL, settings.RedisURL, settings.AMQPURL} {
			_, hosts, _ := strings.Cut(url, "@")
			hosts, _, _ = strings.Cut(hosts, "/")
			for host := range strings.SplitSeq(hosts, ",") {
				name, _, _ := strings.Cut(host, ":")
				if _, ok := p.Services[name]; !ok {
					t.Errorf("no service is called %s", name)
				}
			}
		}
	})
}

// The script cannot ask the program, so it has a copy.
func TestTheNodesUserMayDoInRedisWhatTheProgramNeeds(t *testing.T) {
	if made := read(t, filepath.Join(makeSecrets(t), "redis.conf")); !strings.Contains(made, " "+redis.Rights+"\n") {
		t.Errorf("redis.conf is\n%s\nwant the rights\n%s", made, redis.Rights)
	}
}

func TestNoSecretStandsInTheOpen(t *testing.T) {
	password := regexp.MustCompile(`(?i)://[^\s:/@]*:[^\s@$]+@|(pass|password|requirepass|masterauth|default_pass|key|token)\s*[:=]\s*[A-Za-z0-9+/]{8,}\s*$`)
	for _, path := range []string{"compose.yaml", ".env.example", "nginx.conf", "redis.conf", "rabbitmq.conf", "postgres.sh", "redis-cluster.sh", "../../Dockerfile"} {
		for line := range strings.Lines(read(t, path)) {
			if password.MatchString(strings.TrimSpace(line)) {
				t.Errorf("%s: %s", path, line)
			}
		}
	}
	for name, s := range load(t).Services {
		for variable, value := range s.Environment {
			if regexp.MustCompile(`PASS|KEY|TOKEN|SECRET`).MatchString(variable) && !strings.HasPrefix(value, "/run/secrets/") {
				t.Errorf("%s: %s stands in the open", name, variable)
			}
		}
	}
	if ignored := read(t, ".gitignore"); !strings.Contains(ignored, "/secrets/") || !strings.Contains(ignored, "/.env") {
		t.Error("git would take secrets in")
	}
	ignored := read(t, "../../.dockerignore")
	if !strings.Contains(ignored, "\n*\n") {
		t.Error("the image's builder would get everything")
	}
	let, embedded := []string{}, []string{"!deploy/compose/files.go"}
	for line := range strings.Lines(ignored) {
		if strings.HasPrefix(line, "!deploy") {
			let = append(let, strings.TrimSpace(line))
		}
	}
	entries, err := compose.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		embedded = append(embedded, "!deploy/compose/"+entry.Name())
	}
	slices.Sort(let)
	slices.Sort(embedded)
	if !slices.Equal(let, embedded) {
		t.Errorf("the image's builder gets %v, and needs %v", let, embedded)
	}
}
