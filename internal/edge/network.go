package edge

import "errors"

// Network is what the network layer of one machine is rendered from.
type Network struct {
	Interface string // the one that buyers come in by, such as eth0
}

// renderNetwork writes the scripts of tc and nftables, each with its undo.
func renderNetwork(Network) ([]File, error) {
	return nil, errors.New("not written yet")
}
