// Package compose_test checks the files of this folder as far as that can be
// without Docker: what they say of each other, and that the programs that they
// configure take them.
package compose_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/doorbuster/doorbuster/internal/config"
)

func TestMain(m *testing.M) {
	// The client's own, which end some seconds after it was closed.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient).redirectOrNew.func1"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// project is what compose.yaml says. A key that is not among these is a slip,
// or something that nobody has thought of here.
type project struct {
	Name     string             `yaml:"name"`
	Node     any                `yaml:"x-node"`
	Redis    any                `yaml:"x-redis"`
	Services map[string]service `yaml:"services"`
	Networks map[string]struct {
		Internal bool `yaml:"internal"`
		IPAM     struct {
			Config []struct {
				Subnet  netip.Prefix `yaml:"subnet"`
				IPRange netip.Prefix `yaml:"ip_range"`
			} `yaml:"config"`
		} `yaml:"ipam"`
	} `yaml:"networks"`
	Volumes map[string]any    `yaml:"volumes"`
	Configs map[string]source `yaml:"configs"`
	Secrets map[string]source `yaml:"secrets"`
}

type source struct {
	File string `yaml:"file"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context string            `yaml:"context"`
		Args    map[string]string `yaml:"args"`
	} `yaml:"build"`
	Command     []string          `yaml:"command"`
	User        string            `yaml:"user"`
	Hostname    string            `yaml:"hostname"`
	Environment map[string]string `yaml:"environment"`
	Configs     []mounted         `yaml:"configs"`
	Secrets     []mounted         `yaml:"secrets"`
	Volumes     []string          `yaml:"volumes"`
	Tmpfs       []string          `yaml:"tmpfs"`
	Ports       []string          `yaml:"ports"`
	Networks    attached          `yaml:"networks"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Health *struct {
		Test          []string `yaml:"test"`
		Interval      string   `yaml:"interval"`
		Timeout       string   `yaml:"timeout"`
		Retries       int      `yaml:"retries"`
		StartPeriod   string   `yaml:"start_period"`
		StartInterval string   `yaml:"start_interval"`
	} `yaml:"healthcheck"`
	Restart  string   `yaml:"restart"`
	Grace    string   `yaml:"stop_grace_period"`
	Signal   string   `yaml:"stop_signal"`
	ReadOnly bool     `yaml:"read_only"`
	Drop     []string `yaml:"cap_drop"`
	Security []string `yaml:"security_opt"`
	Memory   string   `yaml:"mem_limit"`
	Shm      string   `yaml:"shm_size"`
	Ulimits  map[string]struct {
		Soft, Hard int
	} `yaml:"ulimits"`
}

// mounted is a config or a secret, by its name alone or with a place.
type mounted struct{ Source, Target string }

func (m *mounted) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		m.Source, m.Target = node.Value, "/run/secrets/"+node.Value
		return nil
	}
	type plain mounted
	return node.Decode((*plain)(m))
}

// attached is the networks of a service, with its address where that is fixed.
type attached map[string]netip.Addr

func (a *attached) UnmarshalYAML(node *yaml.Node) error {
	*a = attached{}
	if node.Kind == yaml.SequenceNode {
		for _, name := range node.Content {
			(*a)[name.Value] = netip.Addr{}
		}
		return nil
	}
	var all map[string]struct {
		Address netip.Addr `yaml:"ipv4_address"`
	}
	if err := node.Decode(&all); err != nil {
		return err
	}
	for name, network := range all {
		(*a)[name] = network.Address
	}
	return nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func load(t *testing.T) project {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, "compose.yaml")))
	decoder.KnownFields(true)
	var p project
	if err := decoder.Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

// each calls check for every service whose name begins so, in order, and wants
// so many of them.
func (p project) each(t *testing.T, prefix string, want int, check func(t *testing.T, s service)) {
	t.Helper()
	found := 0
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if strings.HasPrefix(name, prefix) {
			found++
			t.Run(name, func(t *testing.T) { check(t, p.Services[name]) })
		}
	}
	if found != want {
		t.Errorf("%d services are called %s…, want %d", found, prefix, want)
	}
}

func TestTheShopHasThreeNodesAndSixRedisServers(t *testing.T) {
	p := load(t)
	p.each(t, "node-", 3, func(t *testing.T, s service) {
		for _, needed := range []string{"postgres", "rabbitmq", "redis-cluster"} {
			if _, ok := s.DependsOn[needed]; !ok {
				t.Errorf("it does not wait for %s", needed)
			}
		}
		if !s.ReadOnly || !slices.Equal(s.Drop, []string{"ALL"}) {
			t.Error("it may do more than it needs")
		}
	})
	p.each(t, "redis-", 7, func(t *testing.T, s service) {
		if s.Image != p.Services["redis-1"].Image {
			t.Errorf("it is %s, and redis-1 %s", s.Image, p.Services["redis-1"].Image)
		}
	})
}

// The image's user may write to a volume there, and to nothing else.
func TestEachNodeKeepsItsMoneyInAFolderOfItsOwn(t *testing.T) {
	owners := map[string]string{}
	p := load(t)
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		for _, volume := range p.Services[name].Volumes {
			source, target, _ := strings.Cut(volume, ":")
			if !strings.HasPrefix(name, "node-") || target != "/data" {
				continue
			}
			if other := owners[source]; other != "" {
				t.Errorf("%s and %s share %s", other, name, source)
			}
			owners[source] = name
		}
	}
	if len(owners) != 3 || !strings.Contains(read(t, "../../Dockerfile"), "DOORBUSTER_DATA=/data ") {
		t.Errorf("%v; want a volume at the program's --data for each of three nodes", owners)
	}
}

func TestEveryImageHasAnExplicitVersion(t *testing.T) {
	version := regexp.MustCompile(`^[a-z/]+:\d+\.\d+(\.\d+)?$`)
	for name, s := range load(t).Services {
		if s.Build.Context == "" && !version.MatchString(s.Image) {
			t.Errorf("%s: image %q says no version", name, s.Image)
		}
	}
}

func TestWhoIsWaitedForCanBeWaitedFor(t *testing.T) {
	p := load(t)
	for name, s := range p.Services {
		for other, needs := range s.DependsOn {
			waited, ok := p.Services[other]
			switch {
			case !ok:
				t.Errorf("%s waits for %s, which is not there", name, other)
			case needs.Condition == "service_healthy" && waited.Health == nil:
				t.Errorf("%s waits for the health of %s, which has no check", name, other)
			case needs.Condition == "service_completed_successfully" && waited.Restart != "no":
				t.Errorf("%s waits for the end of %s, which is started again", name, other)
			case needs.Condition != "service_healthy" && needs.Condition != "service_completed_successfully":
				t.Errorf("%s waits for %s only to be %q", name, other, needs.Condition)
			}
		}
		if s.Health == nil && s.Restart != "no" {
			t.Errorf("%s has no check of its health", name)
		}
	}
}

func TestWhatAServiceUsesIsThere(t *testing.T) {
	p := load(t)
	used := map[string]bool{}
	for name, s := range p.Services {
		for _, c := range s.Configs {
			used[c.Source] = true
			if _, err := os.Stat(p.Configs[c.Source].File); err != nil {
				t.Errorf("%s: config %s: %v", name, c.Source, err)
			}
		}
		for _, secret := range s.Secrets {
			used[secret.Source] = true
			if _, ok := p.Secrets[secret.Source]; !ok {
				t.Errorf("%s: no secret is called %s", name, secret.Source)
			}
		}
		for _, volume := range s.Volumes {
			volume, _, _ = strings.Cut(volume, ":")
			if _, ok := p.Volumes[volume]; !ok && !strings.HasPrefix(volume, "$") {
				t.Errorf("%s: no volume is called %s", name, volume)
			}
			used[volume] = true
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(p.Configs)), slices.Collect(maps.Keys(p.Secrets)), slices.Collect(maps.Keys(p.Volumes))) {
		if !used[name] {
			t.Errorf("nobody uses %s", name)
		}
	}
}

func TestAddressesAreUniqueAndAsTheFilesSay(t *testing.T) {
	p := load(t)
	owners, redis := map[netip.Addr]string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		for network, address := range p.Services[name].Networks {
			n, ok := p.Networks[network]
			if !ok {
				t.Errorf("%s: no network is called %s", name, network)
				continue
			}
			if !address.IsValid() {
				continue
			}
			if other := owners[address]; other != "" {
				t.Errorf("%s is that of %s and %s", address, other, name)
			}
			owners[address] = name
			for _, c := range n.IPAM.Config {
				if !c.Subnet.Contains(address) || c.IPRange.IsValid() && c.IPRange.Contains(address) {
					t.Errorf("%s: %s is not in %s, or others may get it", name, address, c.Subnet)
				}
			}
			if strings.HasPrefix(name, "redis-") {
				redis = append(redis, address.String()+":6379")
			}
		}
	}
	if formed := p.Services["redis-cluster"].Command[2:]; !slices.Equal(formed, redis) {
		t.Errorf("the cluster is made of %v, and the servers are %v", formed, redis)
	}
	front := p.Services["nginx"].Networks["front"]
	p.each(t, "node-", 3, func(t *testing.T, s service) {
		if got, want := s.Environment["DOORBUSTER_TRUSTED_PROXIES"], fmt.Sprintf("%s/32", front); got != want {
			t.Errorf("it trusts %s, and nginx is %s", got, want)
		}
	})
	for name := range p.Services {
		if strings.HasPrefix(name, "node-") && !strings.Contains(read(t, "nginx.conf"), "server "+name+":8080 ") {
			t.Errorf("nginx does not know %s", name)
		}
	}
}

func TestStoresAreReachedFromInsideAlone(t *testing.T) {
	p := load(t)
	if !p.Networks["back"].Internal {
		t.Error("the stores' network has a way out")
	}
	for name, s := range p.Services {
		node := name == "nginx" || strings.HasPrefix(name, "node-")
		if _, front := s.Networks["front"]; front != node {
			t.Errorf("%s: at the front: %t, want %t", name, front, node)
		}
		if !node && len(s.Ports) > 0 {
			t.Errorf("%s publishes %v", name, s.Ports)
		}
		for _, port := range s.Ports {
			if !strings.Contains(port, ":-127.0.0.1:") {
				t.Errorf("%s: port %s is open to strangers unless told otherwise", name, port)
			}
		}
	}
}

func TestVariablesStandInTheExampleWithTheirDefaults(t *testing.T) {
	example := read(t, ".env.example")
	for _, found := range regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`).FindAllStringSubmatch(read(t, "compose.yaml"), -1) {
		if line := "\n" + found[1] + "=" + found[2] + "\n"; !strings.Contains(example, line) {
			t.Errorf(".env.example has no line %q", strings.TrimSpace(line))
		}
	}
}

func TestEverySettingExists(t *testing.T) {
	secrets := []string{"buyer-key", "admin-token", "root-key", "payments-key"}
	known := func(variable string) bool {
		name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "DOORBUSTER_"), "_", "-"))
		if config.IsSetting(name) && config.EnvOf(name) == variable {
			return true
		}
		return slices.Contains(secrets, strings.TrimSuffix(name, "-file")) && strings.HasSuffix(name, "-file")
	}
	for name, s := range load(t).Services {
		for variable := range s.Environment {
			if strings.HasPrefix(variable, "DOORBUSTER_") && !known(variable) {
				t.Errorf("%s: %s is no setting, or a secret in the open", name, variable)
			}
		}
	}
	for _, found := range regexp.MustCompile(`(DOORBUSTER_[A-Z_]+)=`).FindAllStringSubmatch(read(t, "../../Dockerfile"), -1) {
		if !known(found[1]) {
			t.Errorf("Dockerfile: %s is no setting, or a secret in the open", found[1])
		}
	}
}
