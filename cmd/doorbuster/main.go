// Command doorbuster sells a fixed number of units to a crowd, once each.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(start()) }

// start runs the command until it is done or told to stop. The first signal
// asks, the second one ends the process at once.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from here on signals do what they do by default
	return run(ctx, os.Args[1:], program{getenv: os.Getenv, environ: os.Environ, stdout: os.Stdout, stderr: os.Stderr})
}
