package main

import (
	"runtime"
	"runtime/debug"
)

// Set by the linker (see the Makefile); empty in a plain go build.
var version, commit string //nolint:gochecknoglobals // the linker knows no other place

type versionCommand struct{}

// Run prints what this program is.
func (versionCommand) Run(p program) error { //nolint:unparam // the form that kong calls
	p.print(p.stdout, "doorbuster %s\ncommit %s\n%s %s/%s\n", versionText(), commitText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func commitText() string {
	if commit != "" {
		return commit
	}
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "unknown"
}
