package node

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/doorbuster/doorbuster/internal/config"
)

// A node that stands alone follows its list file, and knows after a restart what
// an operator wrote.
func TestListsOfANodeAloneAreLiveAndLast(t *testing.T) {
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "block.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# nobody yet\n")
	doc := sale(5, 100)
	begin := func() *house {
		listen := "127.0.0.1:0"
		c, err := config.Read(config.Flags{Data: &folder, Listen: &listen, AdminListen: &listen, BlockList: &file}, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		return startWith(t, c, doc).ready()
	}
	h := begin()
	answers := func(want int) func() bool {
		return func() bool {
			status, _ := h.call("GET", h.buyers("/api/v1/sales"), "", "")
			return status == want
		}
	}
	write("127.0.0.0/8 # us\n")
	h.until("the file's block", answers(http.StatusForbidden))
	write("127.0.0.0/8 # us\nnonsense\n")
	if status, answer := h.call("PUT", h.operators("/admin/api/v1/lists/allow?entry=127.0.0.1"), h.adminToken(), ""); status != http.StatusCreated {
		t.Fatalf("allow: %d %v", status, answer)
	}
	if !answers(http.StatusOK)() {
		t.Error("an allowed address in a blocked network is turned away")
	}
	write("127.0.0.0/8\n")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = begin()
	if !answers(http.StatusOK)() {
		t.Error("the allowed address is turned away after a restart")
	}
}
