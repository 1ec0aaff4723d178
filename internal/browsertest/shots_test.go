package browsertest

import (
	"os"
	"path/filepath"
	"testing"
)

func TestShot(t *testing.T) {
	b, err := Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	f := newFake(t, nil)
	for _, look := range []Look{Phone(), Desktop()} {
		tab, err := b.Tab(look)
		if err != nil {
			t.Fatal(err)
		}
		if err := tab.Open(f.page()); err != nil {
			t.Fatal(err)
		}
		if err := tab.Until(`!document.querySelector("#buy").disabled`); err != nil {
			t.Fatal(err)
		}
		shoot(t, tab, "open-"+look.Name)
		if err := tab.Press("#buy"); err != nil {
			t.Fatal(err)
		}
		if err := tab.Status("awaiting_payment"); err != nil {
			t.Fatal(err)
		}
		shoot(t, tab, "won-"+look.Name)
	}
}

func shoot(t *testing.T, tab *Tab, name string) {
	png, err := tab.Picture()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "screenshots")
	_ = os.MkdirAll(dir, 0o755)
	_ = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
}
