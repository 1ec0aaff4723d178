package servers

import (
	"net"
	"testing"
)

func TestNoPortIsGivenTwice(t *testing.T) {
	t.Parallel()
	var here, beside ports // as two processes would have them
	seen := map[string]bool{}
	for range blockSize - 1 {
		for _, p := range []*ports{&here, &beside} {
			address, err := p.address()
			if err != nil {
				t.Fatal(err)
			}
			if seen[address] {
				t.Fatalf("%s was given twice", address)
			}
			seen[address] = true
		}
	}
}

func TestAPortInUseIsPassedOver(t *testing.T) {
	t.Parallel()
	var p ports
	if err := p.own(); err != nil {
		t.Fatal(err)
	}
	for _, taken := range []int{p.first + 1, p.first + 2 + busAbove} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", loopback(taken))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	address, err := p.address()
	if err != nil {
		t.Fatal(err)
	}
	if want := loopback(p.first + 3); address != want {
		t.Errorf("given %s, want %s", address, want)
	}
}
