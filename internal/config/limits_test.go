package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/config"
)

func TestLimitsThatAreNotGivenGoWithTheirs(t *testing.T) {
	for _, c := range []struct {
		address, buyer, guests, sale *string
		wantGuests, wantSale         string
	}{
		{nil, nil, nil, nil, "2:100", "1:10"},
		{new("0"), nil, nil, nil, "0", "1:10"},
		{nil, new("0"), nil, nil, "2:100", "0"},
		{new("0"), new("0"), new("1:5"), new("0.5:2"), "1:5", "0.5:2"},
		{nil, nil, new("0"), new("0"), "0", "0"},
	} {
		got, err := config.Read(config.Flags{LimitAddress: c.address, LimitBuyer: c.buyer, LimitGuests: c.guests, LimitSale: c.sale}, func(string) string { return "" })
		if err != nil || got.LimitGuests.String() != c.wantGuests || got.LimitSale.String() != c.wantSale || got.LimitNetwork != 16 {
			t.Errorf("guests %s, sale %s, network %d (%v); want %s, %s, 16", got.LimitGuests, got.LimitSale, got.LimitNetwork, err, c.wantGuests, c.wantSale)
		}
	}
	_, err := config.Read(config.Flags{LimitNetwork: new("8x"), LimitGuests: new("fast"), LimitSale: new("1:0")}, func(string) string { return "" })
	if _, err := config.Read(config.Flags{LimitShared: new(true)}, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "--limit-buyer-shared (flag): needs --redis-url") {
		t.Errorf("shared by a node alone: %v", err)
	}
	for want, flags := range map[string]config.Flags{
		"(flag): is for a node alone":         {SuspectNoPage: new(true), RedisURL: new("redis://localhost"), DatabaseURL: new("postgres://localhost/a")},
		"(flag): cannot be told behind a CDN": {SuspectNoPage: new(true), CacheTags: new("tag")},
	} {
		if _, err := config.Read(flags, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "--suspect-no-page "+want) {
			t.Errorf("got %v, want --suspect-no-page %s", err, want)
		}
	}
	for _, want := range []string{"--limit-network (flag): \"8x\"", "--limit-guests (flag): rate \"fast\"", "--limit-sale (flag): rate \"1:0\""} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a fault with %s", err, want)
		}
	}
}

func TestAListFileIsReadBeforeTheNodeStarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "block.txt")
	if err := os.WriteFile(path, []byte("10.0.0.0/8\n10.0.0.1/8\nann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(t.TempDir(), "none")
	_, err := config.Read(config.Flags{BlockList: &path, AllowList: &nowhere}, func(string) string { return "" })
	for _, want := range []string{path + ":2: has bits set", path + ":3: is neither", "--allow-list (flag): read " + nowhere} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a fault with %s", err, want)
		}
	}
	folder := t.TempDir()
	if _, err := config.Read(config.Flags{BlockList: &folder}, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "it is no file") {
		t.Errorf("a folder: %v", err)
	}
}
