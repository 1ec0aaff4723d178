package edge

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/doorbuster/doorbuster/deploy/compose"
)

// What the shop of deploy/compose is made of.
const (
	composeNodes  = 3
	composeListen = ":8080"
	composeFolder = "/tmp" // a tmpfs: the rest is read-only
)

// renderCompose writes the shop of deploy/compose: the same files, nginx for
// its nodes and, where settings differ, what tells the nodes so.
func renderCompose(site Site) ([]File, error) {
	site.Nodes = nil
	for n := range composeNodes {
		site.Nodes = append(site.Nodes, fmt.Sprintf("node-%d:8080", n+1))
	}
	site.Proxy = Proxy{Listen: []string{composeListen}, Folder: composeFolder, Behind: site.Proxy.Behind}
	files, err := renderNginx(site)
	if err != nil {
		return nil, err
	}
	if len(site.Service.Env) > 0 {
		files = append(files, File{Name: "compose.override.yaml", Mode: plain, Text: override(site.Service.Env)})
	}
	err = fs.WalkDir(compose.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		mode := plain
		if strings.HasSuffix(name, ".sh") {
			mode = run
		}
		text, err := compose.Files.ReadFile(name)
		files = append(files, File{Name: name, Mode: mode, Text: text})
		return err
	})
	return files, err
}

// override is read by Docker Compose beside compose.yaml, and counts before
// it.
func override(env []Env) []byte {
	text := []byte("# Written by doorbuster deploy compose: settings that are not compose.yaml's.\nx-settings: &settings\n  environment:\n")
	for _, e := range env {
		value, _ := json.Marshal(strings.ReplaceAll(e.Value, "$", "$$")) // a string always is JSON, and YAML
		text = fmt.Appendf(text, "    %s: %s\n", e.Name, value)
	}
	text = append(text, "services:\n"...)
	for n := range composeNodes {
		text = fmt.Appendf(text, "  node-%d: *settings\n", n+1)
	}
	return text
}
