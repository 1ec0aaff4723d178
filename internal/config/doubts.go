package config

import "fmt"

// Doubts is what an operator should know of settings that have no fault.
func (c *Config) Doubts() []string {
	var all []string
	if doubt := c.PlayMoney(); doubt != "" {
		all = append(all, doubt)
	}
	if bytes := c.AdminToken.Len(); bytes > 0 && bytes < adminTokenShort {
		all = append(all, fmt.Sprintf("the operators' token is short: who reaches their address could guess it; "+
			"set DOORBUSTER_ADMIN_TOKEN to %d bytes or more, such as from: openssl rand -base64 32", adminTokenShort))
	}
	return all
}

// PlayMoney returns the doubt that the public may be buying at a sandbox that
// nobody chose; empty: there is none.
func (c *Config) PlayMoney() string {
	through := ""
	switch {
	case len(c.TrustedProxies) > 0:
		through = "--trusted-proxies"
	case len(c.PageOrigins) > 0:
		through = "--page-origins"
	}
	if _, chosen := c.Given("payments"); chosen || through == "" || c.Payments != Sandbox {
		return ""
	}
	return fmt.Sprintf("buyers pay with play money: payments are a sandbox by default, although with %s others than this machine's users may come in; "+
		"set --payments none to leave the money to your own cashier, or --payments sandbox where play money is meant", through)
}
