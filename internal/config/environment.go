package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// others are variables that are read elsewhere than in a node's settings.
func others() []string {
	return []string{
		"DOORBUSTER_ADMIN_URL", "DOORBUSTER_CRASH_AT",
		"DOORBUSTER_VERSION",    // deploy/compose
		"DOORBUSTER_EDGE_STATE", // the script of deploy tc
	}
}

// service is what Kubernetes sets in each container of a namespace in which a
// Service is called doorbuster, or doorbuster-something
// (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
var service = regexp.MustCompile(`^DOORBUSTER_([A-Z0-9_]+_)?(SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9_]+)?=|PORT=[a-z]+:|PORT_[0-9]+_[A-Z]+(_[A-Z]+)?=)`)

// Stray returns a sentence for each variable of an environment (NAME=value)
// that is named like a setting but is none. Mostly that is a slip of the pen,
// and the setting that was meant stays at its default.
func Stray(environ []string) []string {
	var strays []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "DOORBUSTER_") && !isVariable(name) && !service.MatchString(pair) {
			strays = append(strays, fmt.Sprintf("%s in the environment is no setting and changes nothing; `doorbuster serve --help` names those that there are", name))
		}
	}
	slices.Sort(strays)
	return strays
}

// isVariable reports whether an environment variable is read by some command.
func isVariable(name string) bool {
	option := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "DOORBUSTER_"), "_", "-"))
	return IsSetting(option) || isSecret(option) || slices.Contains(others(), name)
}
