package edge

import (
	"net"
	"strconv"
	"strings"
)

// unit is what a service file is written from.
type unit struct {
	Secrets []Env // by file, with the variable that names it
	LowPort bool  // buyers come in at a port that only root may open
}

const lowPorts = 1024

// renderSystemd writes a node's service, its settings and the kernel's.
func renderSystemd(site Site) ([]File, error) {
	var wrong faults
	u := unit{}
	for _, name := range site.Service.Secrets {
		if !matches(devicePattern, name) {
			wrong.add("secret", "%q is not the name of one", name)
		}
		u.Secrets = append(u.Secrets, Env{name, "DOORBUSTER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_FILE"})
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	for _, node := range site.Nodes {
		_, port, _ := net.SplitHostPort(node)
		if n, err := strconv.Atoi(port); err == nil && n > 0 && n < lowPorts {
			u.LowPort = true
		}
	}
	service, err := fill("systemd/doorbuster.service", "doorbuster.service", plain, u)
	if err != nil {
		return nil, err
	}
	kernel, err := fill("systemd/90-doorbuster.conf", "sysctl.d/90-doorbuster.conf", plain, nil)
	settings := File{Name: "doorbuster.yaml", Mode: private, Text: site.Service.Settings}
	return []File{service, kernel, settings}, err
}
