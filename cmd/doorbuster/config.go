package main

import (
	"github.com/doorbuster/doorbuster/internal/config"
)

type configCommands struct {
	Check checkCommand `cmd:"" help:"Name every fault of the configuration at once."`
	Print printCommand `cmd:"" help:"Print every setting and where it came from; secrets are hidden."`
}

type checkCommand struct{ config.Flags }

// Help is what --help says beyond the flags.
func (checkCommand) Help() string {
	return `Reads flags, environment, file and secrets as serve does, and writes nothing.

    doorbuster config check --config /etc/doorbuster.yaml

Exit codes: 0 no fault, 2 faults.`
}

// Run tells whether serve would start with these settings.
func (c checkCommand) Run(p program) error {
	settings, err := config.Read(c.Flags, p.getenv)
	if err != nil {
		return misused(err)
	}
	for _, doubt := range append(p.strays(), settings.Doubts()...) {
		p.print(p.stderr, "doorbuster: %s\n", doubt)
	}
	p.print(p.stdout, "no fault\n")
	return nil
}

type printCommand struct{ config.Flags }

// Help is what --help says beyond the flags.
func (printCommand) Help() string {
	return `The output is a file that --config reads.

    doorbuster config print
    doorbuster config print --listen :8080 >doorbuster.yaml`
}

// Run prints the settings, also where they have faults.
func (c printCommand) Run(p program) error {
	settings, faults := config.Read(c.Flags, p.getenv)
	if err := settings.Print(p.stdout); err != nil {
		return err
	}
	if faults != nil {
		return misused(faults)
	}
	return nil
}
