package page

import (
	"fmt"
	"net/url"
)

// Policy returns the Content-Security-Policy of a buyer page that finds the
// API at apiOrigin; empty is the page's own origin.
func Policy(apiOrigin string) string { return metaPolicy(apiOrigin) + "; frame-ancestors 'none'" }

// metaPolicy is Policy without what browsers ignore in a meta element. Workers
// are child-src's business for Safari before 15.5.
func metaPolicy(apiOrigin string) string {
	connect := "'self'"
	if apiOrigin != "" {
		connect += " " + apiOrigin
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; connect-src " +
		connect + "; worker-src 'self'; child-src 'self'; base-uri 'none'; form-action 'self'"
}

// CheckOrigin says what is wrong with an API origin.
func CheckOrigin(origin string) error {
	if origin == "" {
		return nil
	}
	address, err := url.Parse(origin)
	if err != nil || (address.Scheme != "https" && address.Scheme != "http") || address.Host == "" || address.Scheme+"://"+address.Host != origin {
		return fmt.Errorf("API origin %q: write scheme and host alone, such as https://shop.example", origin)
	}
	return nil
}
