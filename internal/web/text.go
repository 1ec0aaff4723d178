package web

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// view lends b as a string, to look something up by. Whoever keeps it must
// copy it: the bytes are the server's.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // lent for one call, never kept
}

// isKey reports whether key is a well-formed Idempotency-Key.
func isKey(key []byte) bool {
	if len(key) == 0 || len(key) > keyMax {
		return false
	}
	for _, c := range key {
		if !isWord(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isJSON reports whether a Content-Type says JSON, whatever its parameters.
func isJSON(contentType []byte) bool {
	kind, _, _ := bytes.Cut(contentType, []byte(";"))
	kind = bytes.Trim(kind, " \t")
	return len(kind) == len(jsonType) && bytes.EqualFold(kind, []byte(jsonType))
}

// takesGzip reads Accept-Encoding: the most specific entry decides.
func takesGzip(accepted []byte) bool {
	takes := false
	for entry := range bytes.SplitSeq(accepted, []byte(",")) {
		coding, weight, _ := bytes.Cut(entry, []byte(";"))
		coding = bytes.Trim(coding, " \t")
		switch {
		case bytes.EqualFold(coding, []byte("gzip")):
			return !isZeroWeight(weight)
		case string(coding) == "*":
			takes = !isZeroWeight(weight)
		}
	}
	return takes
}

func isZeroWeight(weight []byte) bool {
	value, ok := bytes.CutPrefix(bytes.TrimLeft(weight, " \t"), []byte("q="))
	return ok && len(bytes.Trim(value, "0. \t")) == 0
}

// matches reports whether an If-None-Match names the tag, in whatever
// strength.
func matches(ifNoneMatch []byte, tag string) bool {
	for entry := range bytes.SplitSeq(ifNoneMatch, []byte(",")) {
		entry = bytes.TrimPrefix(bytes.Trim(entry, " \t"), []byte("W/"))
		if string(entry) == tag || string(entry) == "*" {
			return true
		}
	}
	return false
}

// The wait for a decision: usual, and longest.
const (
	waitUsual = 2 * time.Second
	waitMax   = 30 * time.Second
)

// waitOf reads Prefer (RFC 7240): how long to wait for the decision. Of two
// equal preferences the first counts; what cannot be read was not said.
func waitOf(lines [][]byte) time.Duration {
	wait, async := time.Duration(-1), false
	for _, line := range lines {
		for entry := range bytes.SplitSeq(line, []byte(",")) {
			entry, _, _ = bytes.Cut(entry, []byte(";"))
			name, value, _ := strings.Cut(string(entry), "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "respond-async":
				async = true
			case "wait":
				seconds, err := strconv.ParseUint(strings.Trim(value, ` "`+"\t"), 10, 31)
				if err == nil && wait < 0 {
					wait = min(time.Duration(seconds)*time.Second, waitMax)
				}
			}
		}
	}
	switch {
	case wait >= 0: // with respond-async too: so long, then asynchronously
		return wait
	case async:
		return 0
	}
	return waitUsual
}
