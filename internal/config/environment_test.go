package config

import (
	"strings"
	"testing"
)

func TestAVariableThatIsNoSettingIsNamed(t *testing.T) {
	got := Stray([]string{
		"DOORBUSTER_LIMIT_ADDR=0", "DOORBUSTER_BUYER_KEY_FIEL=/run/key", "DOORBUSTER_LISTEN_PORT_8080=1", "DOORBUSTER_PORT=8080", // slips
		"DOORBUSTER_LIMIT_ADDRESS=0", "DOORBUSTER_CONFIG=x", "DOORBUSTER_BUYER_KEY=x", "DOORBUSTER_BUYER_KEY_FILE=x", "DOORBUSTER_ADMIN_URL=x",
		"PATH=/bin", "DOORBUSTERS=1", "doorbuster_limit=1",
		"DOORBUSTER_SERVICE_HOST=10.0.0.1", "DOORBUSTER_SERVICE_PORT=80", "DOORBUSTER_SERVICE_PORT_HTTP=80", "DOORBUSTER_WEB_SERVICE_PORT=80",
		"DOORBUSTER_PORT=tcp://10.0.0.1:80", "DOORBUSTER_PORT_80_TCP=tcp://10.0.0.1:80", "DOORBUSTER_PORT_80_TCP_PROTO=tcp", "DOORBUSTER_PORT_80_TCP_ADDR=10.0.0.1",
	})
	want := []string{"DOORBUSTER_BUYER_KEY_FIEL ", "DOORBUSTER_LIMIT_ADDR ", "DOORBUSTER_LISTEN_PORT_8080 ", "DOORBUSTER_PORT "}
	if len(got) != len(want) {
		t.Fatalf("strays %q, want those of %q", got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("stray %q, want that of %q", got[i], want[i])
		}
	}
}
