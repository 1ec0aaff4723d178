package config

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
)

// Print writes every setting with the place where it was found, as a file
// that --config reads. Secrets and passwords are not shown.
func (c *Config) Print(to io.Writer) error {
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0) // keeps its first error for Flush
	for _, s := range c.settings {
		if s.name == fileFlag {
			continue
		}
		value := s.value
		if s.name == "payments" {
			value = string(c.Payments)
		}
		if strings.HasSuffix(s.name, "-url") {
			value = redactURL(value)
		}
		_, _ = fmt.Fprintf(out, "%s: %s\t# %s\n", s.name, yamlText(value), s.source)
	}
	_, _ = fmt.Fprintln(out, "#")
	for _, f := range c.secrets {
		source := f.source
		if source == "" {
			source = "made by the first `doorbuster serve` in " + c.Data
		}
		_, _ = fmt.Fprintf(out, "# %s: [secret]\t# %s\n", EnvOf(f.spec.name), source)
	}
	return out.Flush()
}

// yamlText quotes what YAML would read otherwise.
func yamlText(value string) string {
	if value == "" || strings.ContainsAny(value, ":#*[]{},&!|>'\"%@` ") {
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	return value
}

func redactURL(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return address
	}
	if parsed, err := url.Parse(address); err == nil {
		return parsed.Redacted()
	}
	return scheme + "://xxxxx" + rest[at:]
}
