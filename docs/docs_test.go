// Package docs_test checks that what the documents quote is there: tests,
// sentences, metrics and settings.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sources returns all Go files of the program, or all of its tests, as one
// text in which a sentence of several parts is whole.
func sources(t *testing.T, tests bool) string {
	t.Helper()
	var all strings.Builder
	for _, root := range []string{"../internal", "../cmd", "../deploy"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			suite := strings.Contains(path, "test/") // suites are tests, too
			if err == nil && strings.HasSuffix(path, ".go") && (suite || strings.HasSuffix(path, "_test.go")) == tests {
				all.WriteString(read(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return regexp.MustCompile(`" \+\s*"`).ReplaceAllString(all.String(), "")
}

func TestEveryTestThatIsNamedExists(t *testing.T) {
	tests := sources(t, true)
	for _, file := range []string{"faults.md", "edge.md", "security.md"} {
		for _, name := range regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(read(t, file), -1) {
			if !strings.Contains(tests, "func "+name+"(t *testing.T)") && !strings.Contains(tests, "func "+name+"(f *testing.F)") {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
	for _, found := range regexp.MustCompile(`“([^”]+)”`).FindAllStringSubmatch(read(t, "faults.md"), -1) {
		if !strings.Contains(tests, `"`+found[1]+`"`) {
			t.Errorf("faults.md: there is no case or fault %q", found[1])
		}
	}
}

// theirs are sentences of Redis, PostgreSQL and the operating system.
const theirs = "redis: MISCONF redis: OOM command not allowed connection refused sorry, too many clients already (SQLSTATE 53300) duplicate key value violates unique constraint"

func TestEverySentenceThatIsQuotedIsSaid(t *testing.T) {
	program := sources(t, false) + theirs
	for _, quoted := range regexp.MustCompile(`(?s)[^*]\*([^*\n|]+)\*[^*]`).FindAllStringSubmatch(read(t, "operations.md"), -1) {
		for part := range strings.SplitSeq(quoted[1], "…") {
			if part = strings.Trim(part, " .,:;()"); !strings.Contains(program, part) {
				t.Errorf("operations.md: the program never says %q", part)
			}
		}
	}
}

func TestEveryMetricAndSettingThatIsNamedExists(t *testing.T) {
	text, metrics := read(t, "operations.md")+read(t, "overload.md"), read(t, "../internal/node/metrics.go")
	roles := read(t, "../internal/postgres/roles.go")
	for _, found := range regexp.MustCompile(`\bdoorbuster_([a-z_]+)`).FindAllStringSubmatch(text, -1) {
		if name := found[1]; !strings.Contains(metrics, `desc("`+name+`"`) && !strings.Contains(roles, `"`+found[0]+`"`) {
			t.Errorf("operations.md, overload.md: there is neither a metric nor a role %s", found[0])
		}
	}
	for _, found := range regexp.MustCompile("`--([a-z-]+)").FindAllStringSubmatch(text, -1) {
		if name := found[1]; !config.IsSetting(name) && name != "accept-" {
			t.Errorf("operations.md, overload.md: there is no setting --%s", name)
		}
	}
}

func TestEveryCallOfTheOperatorsIsDescribed(t *testing.T) {
	text := read(t, "operators-api.md")
	routes := regexp.MustCompile(`(?s)map\[string\]methods\{(.*?)\n\t\} \{`).FindStringSubmatch(read(t, "../internal/admin/route.go"))
	if routes == nil {
		t.Fatal("the routes are not where they were")
	}
	calls := 0
	for _, route := range regexp.MustCompile(`(?s)"(/[^"]+)":\s*\{(.*?)\}`).FindAllStringSubmatch(routes[1], -1) {
		for _, method := range regexp.MustCompile(`http\.Method(\w+)`).FindAllStringSubmatch(route[2], -1) {
			calls++
			if call := "`" + strings.ToUpper(method[1]) + " " + route[1]; !strings.Contains(text, call) {
				t.Errorf("operators-api.md: nothing of %s`", call)
			}
		}
	}
	if calls < 14 {
		t.Errorf("%d calls found, want all", calls)
	}
}
