package postgres

import (
	"context"
	"strings"
	"testing"
)

// pgx takes such a URL apart in its own way, and quotes it in its errors.
func TestAURLThatCannotBeReadShowsNoPassword(t *testing.T) {
	for _, url := range []string{
		"postgres://u:12/secret@h/d?sslmode=odd", "postgres://u:secret@h/d?sslmode=odd", "POSTGRES://u:x`: secret@h:1/d", "postgres://h/d?password=secret&sslmode=odd",
		"postgres://u:12/secret@h/d?connect_timeout=soon", "host=h password = secret sslmode=odd",
	} {
		_, err := openPool(context.Background(), url, 1, settings{})
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "database URL: ") {
			t.Errorf("%s: %v, want what is wrong without the password", url, err)
		}
		t.Log(err)
	}
}
