// Package webtest has what strangers send to a node, or to what stands in front
// of it.
package webtest

import "strings"

// Smuggled are requests of which each is read in two ways by some pair of
// servers, or by none.
func Smuggled() map[string]string {
	const body = `{"sku":"eu-42","quantity":1}`
	post := func(head string) string {
		return "POST /api/v1/sales/retro-85/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + head + "\r\n\r\n" + body
	}
	get := func(head string) string { return "GET /livez HTTP/1.1\r\nHost: x\r\n" + head + "\r\n\r\n" }
	return map[string]string{
		"length and chunks":              post("Content-Length: 28\r\nTransfer-Encoding: chunked"),
		"chunks and length":              post("Transfer-Encoding: chunked\r\nContent-Length: 28"),
		"chunks alone":                   "POST /api/v1/guests HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunks with bare LF":            "POST /api/v1/guests HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
		"an unknown coding":              post("Transfer-Encoding: xchunked"),
		"identity coding":                post("Transfer-Encoding: identity"),
		"a hidden coding":                post("Content-Length: 28\r\nTransfer-Encoding : chunked"),
		"two lengths":                    post("Content-Length: 28\r\nContent-Length: 28"),
		"two different lengths":          post("Content-Length: 28\r\nContent-Length: 5"),
		"a list of lengths":              post("Content-Length: 28, 28"),
		"a signed length":                post("Content-Length: +28"),
		"a negative length":              post("Content-Length: -1"),
		"a hexadecimal length":           post("Content-Length: 0x1c"),
		"an empty length":                post("Content-Length: "),
		"a length with a space in it":    post("Content-Length: 2 8"),
		"a length with a vertical tab":   post("Content-Length: \v28"),
		"an obsolete fold":               get("X-A: b\r\n c: d"),
		"an obsolete fold with a tab":    get("X-A: b\r\n\tc: d"),
		"a fold as the first field":      "GET /livez HTTP/1.1\r\n Host: x\r\n\r\n",
		"a bare LF behind the request":   "GET /livez HTTP/1.1\nHost: x\r\n\r\n",
		"a bare LF behind a field":       get("X-A: b\nX-B: c"),
		"bare LFs everywhere":            "GET /livez HTTP/1.1\nHost: x\n\n",
		"a bare LF as the last line":     "GET /livez HTTP/1.1\r\nHost: x\r\n\n",
		"a bare CR in a value":           get("X-A: b\rX-B: c"),
		"a space before the colon":       get("X-A : b"),
		"a tab before the colon":         get("X-A\t: b"),
		"a field without a colon":        get("X-A"),
		"a field without a name":         get(": b"),
		"a NUL in a name":                get("X\x00A: b"),
		"a NUL in a value":               get("X-A: b\x00c"),
		"a control character in a value": get("X-A: b\x01c"),
		"a bare CR in a long value":      get("X-A: " + strings.Repeat("b", 50) + "\rX-B: c"),
		"a DEL in a value":               get("X-A: b\x7fc"),
		"a NUL in a list of proxies":     get("X-Forwarded-For: 192.0.2.1\x00, 192.0.2.2"),
		"a space in a name":              get("X A: b"),
		"letters beyond ASCII in a name": get("X-Ä: b"),
		"two hosts":                      get("Host: y"),
		"no host":                        "GET /livez HTTP/1.1\r\nX-A: b\r\n\r\n",
		"two tokens":                     get("Authorization: Bearer a\r\nAuthorization: Bearer b"),
		"two idempotency keys":           get("Idempotency-Key: a\r\nIDEMPOTENCY-KEY: b"),
		"an empty idempotency key":       get("Idempotency-Key:"),
		"two content types":              get("Content-Type: text/plain\r\nContent-Type: application/json"),
		"an absolute target":             "GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"an absolute target elsewhere":   "GET http://evil.example/livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"a target without a slash":       "GET livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"the asterisk":                   "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT":                        "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
		"a NUL in the target":            "GET /live\x00z HTTP/1.1\r\nHost: x\r\n\r\n",
		"bytes beyond ASCII in target":   "GET /s/r\xc3\xa9tro HTTP/1.1\r\nHost: x\r\n\r\n",
		"a backslash in the target":      "GET /s\\retro-85 HTTP/1.1\r\nHost: x\r\n\r\n",
		"a space in the target":          "GET /s/retro 85 HTTP/1.1\r\nHost: x\r\n\r\n",
		"a fragment":                     "GET /livez#a HTTP/1.1\r\nHost: x\r\n\r\n",
		"two spaces":                     "GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"a tab for a space":              "GET\t/livez\tHTTP/1.1\r\nHost: x\r\n\r\n",
		"HTTP/9.9":                       "GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
		"HTTP/2.0":                       "GET /livez HTTP/2.0\r\nHost: x\r\n\r\n",
		"HTTP/1.10":                      "GET /livez HTTP/1.10\r\nHost: x\r\n\r\n",
		"HTTP/1.2":                       "GET /livez HTTP/1.2\r\nHost: x\r\n\r\n",
		"http/1.1":                       "GET /livez http/1.1\r\nHost: x\r\n\r\n",
		"HTTP/0.9":                       "GET /livez\r\n\r\n",
		"the preface of HTTP/2":          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"TLS":                            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
		"an empty line first":            "\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"a bare LF first":                "\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"a method that is no token":      "G(T /livez HTTP/1.1\r\nHost: x\r\n\r\n",
	}
}
