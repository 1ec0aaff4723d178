package config

import (
	"fmt"
	"io"
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
		switch s.name { // what they are by default depends on others
		case "payments":
			value = string(c.Payments)
		case "limit-guests":
			value = c.LimitGuests.String()
		case "limit-sale":
			value = c.LimitSale.String()
		}
		if strings.HasSuffix(s.name, "-url") {
			value = RedactURL(value)
		}
		_, _ = fmt.Fprintf(out, "%s: %s\t# %s\n", s.name, yamlText(value), s.source)
	}
	_, _ = fmt.Fprintln(out, "#")
	for _, f := range c.secrets {
		source := f.source
		if source == "" && f.spec.given {
			source = "not set"
		} else if source == "" {
			source = "made by the first `doorbuster serve` in " + c.Data
		}
		_, _ = fmt.Fprintf(out, "# %s: [secret]\t# %s\n", EnvOf(f.spec.name), source)
	}
	return out.Flush()
}

// Hidden names the settings of which Print does not show everything.
func (c *Config) Hidden() []string {
	var names []string
	for _, s := range c.settings {
		if strings.HasSuffix(s.name, "-url") && RedactURL(s.value) != s.value {
			names = append(names, s.name)
		}
	}
	return names
}

// yamlText quotes a text that YAML would read as something else.
func yamlText(value string) string {
	if value == "" || strings.ContainsAny(value, ":#*[]{},&!|>'\"%@` ") {
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	return value
}
