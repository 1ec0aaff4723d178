package config

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Lengths of secrets, in bytes.
const (
	adminTokenMin   = 8
	adminTokenShort = 16 // below it, whoever may try for long could guess a token of words
	paymentsKeyMin  = 32
	secretMax       = 4096
	secretRandom    = 32 // of a generated one, before it is written as text
)

// secretSpec is one secret: its name is that of its file in --data, and EnvOf
// of it that of its environment variable.
type secretSpec struct {
	name  string
	min   int
	field func(*Config) *gate.Secret
	given bool // by somebody else: a node makes none
}

func secrets() []secretSpec {
	return []secretSpec{
		{name: "buyer-key", min: gate.BuyerKeyMin, field: func(c *Config) *gate.Secret { return &c.BuyerKey }},
		{name: "admin-token", min: adminTokenMin, field: func(c *Config) *gate.Secret { return &c.AdminToken }},
		{name: "root-key", min: shop.RootKeyMin, field: func(c *Config) *gate.Secret { return &c.RootKey }},
		{name: "payments-key", min: paymentsKeyMin, field: func(c *Config) *gate.Secret { return &c.PaymentsKey }},
		{name: captchaSecret, min: 1, field: func(c *Config) *gate.Secret { return &c.CaptchaSecret }, given: true},
	}
}

const captchaSecret = "captcha-secret"

func isSecret(name string) bool {
	for _, spec := range secrets() {
		if spec.name == strings.TrimSuffix(name, "-file") {
			return true
		}
	}
	return false
}

// unshared returns a fault where the nodes of a shop must have the same secret
// and this one would make its own.
func (c *Config) unshared(spec secretSpec, source string) shop.Faults {
	if !c.Distributed() || !c.shares(spec) || (source != "" && source != "file "+filepath.Join(c.Data, spec.name)) {
		return nil
	}
	return shop.Faults{{Field: EnvOf(spec.name), Wrong: fmt.Sprintf(
		"is not set; with --redis-url all nodes need the same one: set it, or %s_FILE", EnvOf(spec.name))}}
}

// shares reports whether the nodes of a shop need the secret, and so the same
// one. The sandbox's secret is needed where the sandbox is open: every node
// must know the pages of all.
func (c *Config) shares(spec secretSpec) bool {
	return !spec.given && (spec.name != "payments-key" || c.Payments == Sandbox)
}

// Shared returns the secrets of which all nodes of a shop need the same, by the
// names of their environment variables. The root key is not among them: the
// ledger knows it.
func (c *Config) Shared() map[string]gate.Secret {
	all := map[string]gate.Secret{}
	for _, spec := range secrets() {
		if c.shares(spec) && spec.name != "root-key" {
			all[EnvOf(spec.name)] = *spec.field(c)
		}
	}
	return all
}

// missing returns a fault where the secret was not found and a setting is of no
// use without it.
func (c *Config) missing(spec secretSpec, source string) shop.Faults {
	if spec.name != captchaSecret || source != "" || c.CaptchaVerifyURL == "" {
		return nil
	}
	return shop.Faults{{Field: EnvOf(spec.name), Wrong: "is not set; --captcha-verify-url needs the secret that the service gave you: set it, or " + EnvOf(spec.name) + "_FILE"}}
}

// found says where a secret came from; an empty source is nowhere yet.
type found struct {
	spec   secretSpec
	source string
}

// check says what is wrong with the secret's bytes, never what they are.
func (s secretSpec) check(secret gate.Secret) string {
	switch {
	case s.given && secret.Len() == 0:
		return ""
	case secret.Len() < s.min:
		return fmt.Sprintf("has %d bytes; it needs %d or more, such as from: openssl rand -base64 32", secret.Len(), s.min)
	case secret.Len() > secretMax:
		return fmt.Sprintf("has %d bytes; it may have %d", secret.Len(), secretMax)
	case s.name == "admin-token" && bytes.ContainsFunc(secret.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }):
		return "has a blank or a character beyond ASCII, which no Authorization header carries; write letters and digits"
	}
	return ""
}

// readSecrets takes each secret from the environment, the file that the
// environment names, or the folder; what is nowhere stays empty.
func (c *Config) readSecrets(getenv func(string) string) shop.Faults {
	var faults shop.Faults
	for _, spec := range secrets() {
		secret, source, err := spec.read(c.Data, getenv)
		if err == nil && source != "" {
			if wrong := spec.check(secret); wrong != "" {
				err = errors.New(wrong)
			}
		}
		if err != nil {
			faults = append(faults, shop.Fault{Field: spec.label(source), Wrong: err.Error()})
			secret = gate.Secret{}
		}
		*spec.field(c) = secret
		c.secrets = append(c.secrets, found{spec, source})
		if err == nil {
			faults = append(faults, c.unshared(spec, source)...)
			faults = append(faults, c.missing(spec, source)...)
		}
		if path, ok := strings.CutPrefix(source, "file "); ok && spec.name == "admin-token" {
			c.AdminTokenFile = path
		}
	}
	return faults
}

func (s secretSpec) label(source string) string {
	if source == "" || strings.HasPrefix(source, "environment") {
		return EnvOf(s.name)
	}
	return EnvOf(s.name) + " (" + source + ")"
}

// ReadSecret reads one secret by its name (buyer-key, admin-token, …) from the
// environment or the folder, for commands that need no other setting.
func ReadSecret(name, data string, getenv func(string) string) (gate.Secret, error) {
	for _, spec := range secrets() {
		if spec.name != name {
			continue
		}
		secret, source, err := spec.read(data, getenv)
		if err != nil {
			return gate.Secret{}, fmt.Errorf("%s: %w", spec.label(source), err)
		}
		if source == "" {
			return gate.Secret{}, fmt.Errorf("no %s: set %s or %s_FILE, or name with --data the folder of the node (%s is not there; `doorbuster serve` makes it)",
				strings.ReplaceAll(name, "-", " "), EnvOf(name), EnvOf(name), filepath.Join(data, name))
		}
		if wrong := spec.check(secret); wrong != "" {
			return gate.Secret{}, fmt.Errorf("%s: %s", spec.label(source), wrong)
		}
		return secret, nil
	}
	return gate.Secret{}, fmt.Errorf("no secret is called %q", name)
}

func (s secretSpec) read(data string, getenv func(string) string) (gate.Secret, string, error) {
	env := EnvOf(s.name)
	value, path := getenv(env), getenv(env+"_FILE")
	switch {
	case value != "" && path != "":
		return gate.Secret{}, "environment", fmt.Errorf("is set, and so is %s_FILE; unset one of them", env)
	case value != "":
		return gate.NewSecret([]byte(value)), "environment " + env, nil
	case path != "":
		secret, err := readSecretFile(path)
		return secret, "file " + path, err
	}
	path = filepath.Join(data, s.name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return gate.Secret{}, "", nil
	}
	if err != nil {
		return gate.Secret{}, "file " + path, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return gate.Secret{}, "file " + path, fmt.Errorf("others can read it (mode %04o); if it is not known to them: chmod 600 %s", info.Mode().Perm(), path)
	}
	secret, err := readSecretFile(path)
	return secret, "file " + path, err
}

// readSecretFile cuts one trailing newline and takes the other bytes as they
// are.
func readSecretFile(path string) (gate.Secret, error) {
	file, err := os.Open(path) //nolint:gosec // named by the operator
	if err != nil {
		return gate.Secret{}, err
	}
	defer file.Close() //nolint:errcheck // only read
	content, err := io.ReadAll(io.LimitReader(file, secretMax+2))
	if err != nil {
		return gate.Secret{}, err
	}
	return gate.NewSecret(bytes.TrimSuffix(content, []byte("\n"))), nil
}

// Prepare makes the folder of a node that stands alone (0700) and the secrets
// that it has not got (0600). Two processes that prepare one folder at the same
// time end up with the same secrets. A node that is one of several keeps
// nothing there but what its sandbox cashier took: its secrets are shared by
// all.
func (c *Config) Prepare() error {
	if c.Distributed() && c.Payments != Sandbox {
		return nil
	}
	if err := prepareFolder(c.Data); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	for i, f := range c.secrets {
		if f.source != "" || f.spec.given || c.Distributed() {
			continue
		}
		path := filepath.Join(c.Data, f.spec.name)
		if err := generate(path); err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
		secret, err := readSecretFile(path)
		if err != nil {
			return err
		}
		*f.spec.field(c) = secret
		c.secrets[i].source = "file " + path
		if f.spec.name == "admin-token" {
			c.AdminTokenFile = path
		}
	}
	return syncFolder(c.Data)
}

// prepareFolder makes the folder, or closes it to others. It leaves a folder
// alone that holds somebody else's files: --data may be a slip for /tmp.
func prepareFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(path) // before its mode: who prepares it at the same time closes it first, and fills it then
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(path, "root-key")); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s holds other files, and others can read it (mode %04o); name a folder of the node's own, or run chmod 700 on it", path, info.Mode().Perm())
	}
	return os.Chmod(path, 0o700) //nolint:gosec // a folder
}

// generate writes a random secret where there is none. It is whole and on disk
// before it gets its name.
func generate(path string) error {
	random := make([]byte, secretRandom)
	_, _ = rand.Read(random) // never fails: the program ends instead
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // its other name stays
	_, err = temporary.WriteString(base64.RawURLEncoding.EncodeToString(random) + "\n")
	if err == nil {
		err = temporary.Sync()
	}
	if err := errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // named by the operator
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
