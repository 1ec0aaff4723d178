package node

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/gossip"
)

// strangeFor is how long another node's word that it has another secret counts:
// three times the interval at which it says so again.
const strangeFor = 15 * time.Second

// strange remembers which secrets differ between other nodes and this one. A
// node with another buyer key would know none of the buyers that the others let
// in, and nothing else would show it.
type strange struct {
	mu    sync.Mutex
	heard map[string]time.Time // when last, by the secret's name
}

// hear notes that another node has another secret, and reports whether that is
// news.
func (s *strange) hear(name string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.heard[name]
	if s.heard == nil {
		s.heard = map[string]time.Time{}
	}
	s.heard[name] = now
	return !ok || now.Sub(last) > strangeFor
}

// warnings is a sentence for each secret that differs.
func (s *strange) warnings(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.heard)) {
		if now.Sub(s.heard[name]) <= strangeFor {
			all = append(all, differs(name))
		}
	}
	return all
}

func differs(name string) string {
	return fmt.Sprintf("another node has another %s than this one: what one of them signs the other does not believe; give all nodes the same", name)
}

// prints are those of the secrets that all nodes share.
func (n *Node) prints() []gossip.Secret {
	var all []gossip.Secret
	shared := n.options.Config.Shared()
	for _, name := range slices.Sorted(maps.Keys(shared)) {
		all = append(all, gossip.Secret{Name: name, Print: n.hasher.SecretPrint(name, shared[name].Reveal())})
	}
	return all
}

// compare hears of another node's secret. A secret that this node does not have
// need not be the same.
func (n *Node) compare(other gossip.Secret) {
	same := func(own gossip.Secret) bool { return own.Name != other.Name || own.Print == other.Print }
	if !slices.ContainsFunc(n.gossip.Secrets, func(own gossip.Secret) bool { return !same(own) }) {
		return
	}
	if n.strange.hear(other.Name, time.Now()) {
		n.options.Log.Warn(differs(other.Name))
	}
}
