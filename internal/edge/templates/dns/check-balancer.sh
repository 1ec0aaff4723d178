#!/bin/sh
# Exits 0 where a buyer who comes to this balancer gets an answer of a node.
exec curl --silent --fail --max-time 1 --output /dev/null{{if eq .Scheme "https"}} --insecure{{end}} --header 'Host: {{.Host}}' {{.Scheme}}://{{.Local}}:{{.Port}}/livez
