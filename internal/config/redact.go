package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// notShown stands for an address in which a password could be anywhere.
const notShown = "[not shown: it cannot be told where its password ends; write %25, %23, %2F, %3F and %40 for % # / ? and @ in it]"

const hidden = "xxxxx"

// RedactURL hides the password of an address, and what may be one among its
// parameters. Of an address that it cannot take apart it shows nothing.
func RedactURL(address string) string {
	if address == "" {
		return ""
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`).MatchString(scheme) {
		return "[not shown: not an address]"
	}
	user, hosts, behind, ok := authority(rest)
	if !ok || !areHosts(hosts) {
		return notShown
	}
	path, query, asked := strings.Cut(behind, "?")
	if asked {
		query = "?" + redactQuery(query)
	}
	return scheme + "://" + redactUser(user) + hosts + path + query
}

// authority splits what follows :// into the user with its @, the hosts, and
// what stands behind them. It is not ok where another @ stands behind the
// hosts: that may be the end of a password that holds a / ? or #.
func authority(rest string) (user, hosts, behind string, ok bool) {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	hosts, behind = rest[:end], rest[end:]
	at := strings.LastIndex(hosts, "@") + 1 // a comma or an @ before it belongs to the password
	return hosts[:at], hosts[at:], behind, !strings.Contains(behind, "@")
}

// areHosts reports whether text is nothing but hosts, and not a password whose
// host was forgotten.
func areHosts(text string) bool {
	return regexp.MustCompile(`^(([\pL\pN._%-]*|\[[\w:.%-]+\])(:[0-9]*)?(,|$))*$`).MatchString(text)
}

// redactUser hides the password, where there is one.
func redactUser(user string) string {
	name, _, ok := strings.Cut(user, ":")
	if !ok {
		return user
	}
	return name + ":" + hidden + "@"
}

// redactQuery hides what may be a secret among an address's parameters. Behind
// one it shows only parameters that stores are known to have: others may be the
// rest of a password whose & was not escaped.
func redactQuery(query string) string {
	fields := strings.Split(query, "&")
	secret := false
	for i, field := range fields {
		name, _, _ := strings.Cut(field, "=")
		switch {
		case isSecretField(field):
			fields[i], secret = name+"="+hidden, true
		case secret && !slices.Contains(parameters(), name):
			fields[i] = hidden
		}
	}
	return strings.Join(fields, "&")
}

// isSecretField also judges what is escaped: stores read pass%77ord, too.
func isSecretField(field string) bool {
	plain, err := url.QueryUnescape(field)
	if err != nil {
		return true
	}
	plain = strings.ToLower(plain)
	return slices.ContainsFunc([]string{"pass", "pwd", "secret", "token", "apikey", "api_key", "api-key", "signature"},
		func(word string) bool { return strings.Contains(plain, word) })
}

// parameters are the URL parameters of PostgreSQL, Redis and RabbitMQ that hold
// no secret.
func parameters() []string {
	return []string{
		"application_name", "channel_binding", "connect_timeout", "database", "dbname", "host", "options", "port", "require_auth", "search_path",
		"sslcert", "sslkey", "sslmode", "sslnegotiation", "sslrootcert", "sslsni", "target_session_attrs", "user",
		"client_name", "db", "dial_timeout", "protocol", "skip_verify", "write_timeout",
		"auth_mechanism", "cacertfile", "certfile", "channel_max", "connection_timeout", "heartbeat", "keyfile", "server_name_indication",
	}
}
