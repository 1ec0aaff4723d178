package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/doorbuster/doorbuster/internal/config"
)

func read(t *testing.T, data string, env ...string) *config.Config {
	t.Helper()
	c, err := config.Read(config.Flags{Data: &data}, environment(env...))
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return c
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestTheFirstStartMakesSecretsAndTheSecondKeepsThem(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new", "data")
	first := read(t, data)
	if first.BuyerKey.Len() != 0 {
		t.Fatal("reading alone made a key")
	}
	if err := first.Prepare(); err != nil {
		t.Fatal(err)
	}
	if got := mode(t, data); got != 0o700 {
		t.Errorf("the folder's mode is %o", got)
	}
	seen := map[string]bool{}
	for _, name := range []string{"buyer-key", "admin-token", "root-key", "payments-key"} {
		if got := mode(t, filepath.Join(data, name)); got != 0o600 {
			t.Errorf("the mode of %s is %o", name, got)
		}
		content, _ := os.ReadFile(filepath.Join(data, name))
		seen[string(content)] = true
	}
	if len(seen) != 4 {
		t.Error("two secrets are alike")
	}
	if first.AdminTokenFile != filepath.Join(data, "admin-token") {
		t.Errorf("the token lies in %q", first.AdminTokenFile)
	}
	if err := first.Check(); err != nil {
		t.Errorf("Check: %v", err)
	}
	second := read(t, data)
	if err := second.Prepare(); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2][]byte{
		{first.BuyerKey.Reveal(), second.BuyerKey.Reveal()},
		{first.AdminToken.Reveal(), second.AdminToken.Reveal()},
		{first.RootKey.Reveal(), second.RootKey.Reveal()},
		{first.PaymentsKey.Reveal(), second.PaymentsKey.Reveal()},
	} {
		if string(pair[0]) != string(pair[1]) || len(pair[0]) < 32 {
			t.Errorf("a secret of %d bytes became one of %d", len(pair[0]), len(pair[1]))
		}
	}
	if entries, _ := os.ReadDir(data); len(entries) != 4 {
		t.Errorf("the folder holds %v, want the four secrets alone", entries)
	}
}

// One of several nodes keeps in its folder what its sandbox cashier took, and
// nothing of what all share; without that cashier, nothing at all.
func TestOneOfSeveralNodesMakesAFolderForItsSandboxAndNoSecret(t *testing.T) {
	env := []string{
		"DOORBUSTER_DATABASE_URL", "postgres://doorbuster@db.example/doorbuster", "DOORBUSTER_REDIS_URL", "redis://a.example:6379",
		"DOORBUSTER_BUYER_KEY", strings.Repeat("b", 32), "DOORBUSTER_ADMIN_TOKEN", strings.Repeat("a", 32), "DOORBUSTER_ROOT_KEY", strings.Repeat("r", 32),
	}
	data := filepath.Join(t.TempDir(), "node-1")
	if err := read(t, data, env...).Prepare(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("without the sandbox a folder was made (%v)", err)
	}
	env = append(env, "DOORBUSTER_PAYMENTS", "sandbox", "DOORBUSTER_PAYMENTS_KEY", strings.Repeat("p", 32))
	c := read(t, data, env...)
	if err := c.Prepare(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(data)
	if err != nil || len(entries) > 0 || mode(t, data) != 0o700 {
		t.Errorf("the folder holds %v (%v), mode %o; want nothing, closed to others", entries, err, mode(t, data))
	}
	if string(c.PaymentsKey.Reveal()) != strings.Repeat("p", 32) {
		t.Error("the shared key is not the one that was given")
	}
}

func TestProcessesThatStartTogetherAgreeOnTheSecrets(t *testing.T) {
	data := t.TempDir()
	configs := make([]*config.Config, 4)
	for i := range configs {
		configs[i] = read(t, data)
	}
	var group sync.WaitGroup
	for _, c := range configs {
		group.Go(func() {
			if err := c.Prepare(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, c := range configs[1:] {
		if !c.RootKey.Equal(configs[0].RootKey.Reveal()) {
			t.Error("two root keys for one folder")
		}
	}
}

func TestASecretIsTheBytesAsGiven(t *testing.T) {
	key := strings.Repeat("k", 32)
	for _, c := range []struct{ name, content, want string }{
		{"one newline is cut", key + "\n", key},
		{"the second is not", key + "\n\n", key + "\n"},
		{"blanks stay", " " + key, " " + key},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, t.TempDir(), "DOORBUSTER_BUYER_KEY_FILE", write(t, "key", c.content))
			if string(got.BuyerKey.Reveal()) != c.want {
				t.Errorf("got %q, want %q", got.BuyerKey.Reveal(), c.want)
			}
		})
	}
	if got := read(t, t.TempDir(), "DOORBUSTER_BUYER_KEY", key+"\n"); got.BuyerKey.Len() != 33 {
		t.Errorf("the environment's key has %d bytes, want all 33", got.BuyerKey.Len())
	}
}

func TestASecretThatOthersCanReadIsAFault(t *testing.T) {
	data := t.TempDir()
	path := filepath.Join(data, "root-key")
	if err := os.WriteFile(path, []byte(strings.Repeat("r", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err := config.Read(config.Flags{Data: &data}, environment())
	if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
		t.Errorf("error is %v", err)
	}
}

func TestAFolderWithOtherFilesIsLeftAlone(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "somebody-elses"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := read(t, data).Prepare(); err == nil || !strings.Contains(err.Error(), "holds other files") {
		t.Errorf("error is %v", err)
	}
	if got := mode(t, data); got != 0o755 {
		t.Errorf("its mode is now %o", got)
	}
}

func TestAnAdminTokenThatNoHeaderCarriesIsAFault(t *testing.T) {
	_, err := config.Read(config.Flags{Data: new(t.TempDir())}, environment("DOORBUSTER_ADMIN_TOKEN", "a token of blanks"))
	if err == nil || !strings.Contains(err.Error(), "DOORBUSTER_ADMIN_TOKEN: has a blank") {
		t.Errorf("error is %v", err)
	}
}

func TestAShortAdminTokenIsADoubt(t *testing.T) {
	for token, want := range map[string]bool{"": false, "8-bytes!": true, "fifteen-bytes--": true, "sixteen-bytes---": false} {
		c, err := config.Read(config.Flags{Data: new(t.TempDir())}, environment("DOORBUSTER_ADMIN_TOKEN", token))
		doubts := strings.Join(c.Doubts(), "\n")
		if err != nil || strings.Contains(doubts, "the operators' token is short") != want || (token != "" && strings.Contains(doubts, token)) {
			t.Errorf("%d bytes: doubts %q, %v", len(token), doubts, err)
		}
	}
}

func TestACommandIsToldWhereASecretCouldCome(t *testing.T) {
	data := t.TempDir()
	_, err := config.ReadSecret("admin-token", data, environment())
	if err == nil || !strings.Contains(err.Error(), "DOORBUSTER_ADMIN_TOKEN_FILE") || !strings.Contains(err.Error(), data) {
		t.Errorf("error is %v", err)
	}
	secret, err := config.ReadSecret("admin-token", data, environment("DOORBUSTER_ADMIN_TOKEN", "operator-token"))
	if err != nil || string(secret.Reveal()) != "operator-token" {
		t.Errorf("got %d bytes, %v", secret.Len(), err)
	}
}

func TestTheCaptchasSecretIsGivenAndNeverMade(t *testing.T) {
	folder := t.TempDir()
	address := "https://challenges.cloudflare.com/turnstile/v0/siteverify"
	c, err := config.Read(config.Flags{Data: &folder}, environment())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Prepare(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "captcha-secret")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the first start made a captcha's secret: %v", err)
	}
	if err := c.Check(); err != nil {
		t.Errorf("a node without captcha: %v", err)
	}
	_, err = config.Read(config.Flags{Data: &folder, CaptchaURL: &address}, environment())
	if err == nil || !strings.Contains(err.Error(), "DOORBUSTER_CAPTCHA_SECRET: is not set; --captcha-verify-url needs the secret") {
		t.Errorf("an address without a secret: %v", err)
	}
	c, err = config.Read(config.Flags{Data: &folder, CaptchaURL: &address}, environment("DOORBUSTER_CAPTCHA_SECRET", "0x4AAA"))
	if err != nil || c.CaptchaVerifyURL != address || string(c.CaptchaSecret.Reveal()) != "0x4AAA" {
		t.Errorf("got %q, %v", c.CaptchaVerifyURL, err)
	}
	var out strings.Builder
	if err := c.Print(&out); err != nil || strings.Contains(out.String(), "0x4AAA") {
		t.Errorf("printed %s, %v", &out, err)
	}
	plain := "http://captcha.example/siteverify"
	_, err = config.Read(config.Flags{Data: &folder, CaptchaURL: &plain}, environment("DOORBUSTER_CAPTCHA_SECRET", "s"))
	if err == nil || !strings.Contains(err.Error(), "--captcha-verify-url (flag): is not an https address") {
		t.Errorf("plain HTTP: %v", err)
	}
}
