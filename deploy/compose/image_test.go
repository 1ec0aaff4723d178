package compose_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lines returns the Dockerfile's instructions, each on one line.
func lines(t *testing.T) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(read(t, "../../Dockerfile"), "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

func TestTheImageHoldsTheProgramAlone(t *testing.T) {
	all := lines(t)
	last := slices.IndexFunc(all, func(line string) bool { return line == "FROM scratch" })
	if last < 0 {
		t.Fatal("the image is not built from scratch")
	}
	user := false
	for _, line := range all[last:] {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "RUN", "ADD", "SHELL", "HEALTHCHECK":
			t.Errorf("%s: there is no shell", line)
		case "USER":
			user = regexp.MustCompile(`^[1-9]\d+:[1-9]\d+$`).MatchString(rest)
		case "ENTRYPOINT", "CMD":
			if !strings.HasPrefix(rest, `["`) {
				t.Errorf("%s: it would need a shell", line)
			}
		}
	}
	if !user {
		t.Error("it runs as root, or as a user by name")
	}
}

func TestTheImageIsBuiltAsMakeBuilds(t *testing.T) {
	flags := regexp.MustCompile(`CGO_ENABLED=0 go build -trimpath -ldflags ['"]-s -w -X main\.version=\S+ -X main\.commit=[^'"]+['"] -o \S+ \./cmd/doorbuster`)
	for _, path := range []string{"../../Dockerfile", "../../Makefile"} {
		if !flags.MatchString(read(t, path)) {
			t.Errorf("%s does not build with these flags: %s", path, flags)
		}
	}
	var image, module [3]int
	scan(t, `(?m)^FROM golang:(\S+) AS build$`, read(t, "../../Dockerfile"), &image)
	scan(t, `(?m)^go (\S+)$`, read(t, "../../go.mod"), &module)
	if slices.Compare(image[:], module[:]) < 0 {
		t.Errorf("the image is built with Go %v, and go.mod wants %v", image, module)
	}
}

func scan(t *testing.T, pattern, text string, version *[3]int) {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s", pattern)
	}
	if _, err := fmt.Sscanf(found[1], "%d.%d.%d", &version[0], &version[1], &version[2]); err != nil {
		t.Fatalf("%s: %v", found[1], err)
	}
}
