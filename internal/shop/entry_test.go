package shop

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestASubjectHasOneSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "203.0.113.9/32": "203.0.113.9", "::ffff:203.0.113.9": "203.0.113.9", "::ffff:203.0.113.0/120": "203.0.113.0/24",
		"10.0.0.0/8": "10.0.0.0/8", "2001:DB8:0::/48": "2001:db8::/48", "2001:db8::1": "2001:db8::1", "2001:db8::1/128": "2001:db8::1",
		"buyer:ann": "buyer:ann", "buyer:10.0.0.1": "buyer:10.0.0.1", "buyer:Zoë # 1": "buyer:Zoë # 1",
	} {
		subject, err := ParseSubject(text)
		if err != nil || subject.String() != want {
			t.Errorf("%q is %q, %v; want %q", text, subject, err, want)
		}
		if again, err := ParseSubject(subject.String()); err != nil || again != subject {
			t.Errorf("%q is %v when read again, %v", text, again, err)
		}
	}
}

func TestWhatIsNoSubjectIsRefusedWithoutBeingRepeated(t *testing.T) {
	for _, text := range []string{
		"", " ", "198.51.100", "203.0.113.9/33", "203.0.113.9/24", "fe80::1%eth0", "2001:db8::1/48", "::ffff:203.0.113.9/24", "::ffff:0:0/90", "ann", "buyer:",
		"buyer:a\nb", "buyer:\xff", "buyer:" + strings.Repeat("a", BuyerMax+1), "203.0.113.9 ", "203.0.113.0/024", "0.0.0.0/0", "::/0", "::ffff:0:0/96",
	} {
		subject, err := ParseSubject(text)
		if err == nil {
			t.Errorf("%q is %v, want an error", text, subject)
		} else if len(text) > 6 && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats %q: %v", text, err)
		}
	}
}

const listFile = "\ufeff# Hosters of this week\r\n" + `203.0.113.0/24   # Example Hosting, see ticket 12
buyer:ann#1
	2001:db8::/48	# 	spare   words

buyer:bob smith # resells
203.0.113.0/24
`

func TestAListFileIsReadLineByLine(t *testing.T) {
	entries, err := ParseEntries(Block, "list.txt", []byte(listFile))
	if err != nil {
		t.Fatal(err)
	}
	subject := func(text string) Subject {
		s, err := ParseSubject(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := []Entry{
		{List: Block, Subject: subject("203.0.113.0/24"), Reason: "Example Hosting, see ticket 12", By: "list.txt"},
		{List: Block, Subject: subject("buyer:ann#1"), By: "list.txt"},
		{List: Block, Subject: subject("2001:db8::/48"), Reason: "spare   words", By: "list.txt"},
		{List: Block, Subject: subject("buyer:bob smith"), Reason: "resells", By: "list.txt"},
	}
	if diff := cmp.Diff(want, entries, cmpopts.EquateComparable(Subject{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestEveryWrongLineIsToldAtOnce(t *testing.T) {
	_, err := ParseEntries(Allow, "list.txt", []byte("10.0.0.1\n10.0.0.0/33\n# fine\nbuyer:\n10.0.0.1/8 # no\n"))
	faults, _ := errors.AsType[Faults](err)
	var at []string
	for _, fault := range faults {
		at = append(at, fault.Field)
	}
	if diff := cmp.Diff([]string{"list.txt:2", "list.txt:4", "list.txt:5"}, at); diff != "" {
		t.Errorf("-want +got\n%s%v", diff, err)
	}
}

func TestAListThatIsTooLongIsRefused(t *testing.T) {
	var list []byte
	for i := range EntriesMax + 1 {
		list = fmt.Appendf(list, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
	}
	if _, err := ParseEntries(Block, "list.txt", list); err == nil || !strings.Contains(err.Error(), "100001 entries") {
		t.Errorf("got %.200v, want a sentence about 100001 entries", err)
	}
}

func TestAnEntryEndsAtItsTime(t *testing.T) {
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for until, want := range map[time.Time]bool{{}: false, noon.Add(time.Millisecond): false, noon: true, noon.Add(-time.Hour): true} {
		if entry := (Entry{Until: until}); entry.Ended(noon) != want {
			t.Errorf("until %v, at %v: ended is %v, want %v", until, noon, !want, want)
		}
	}
}

// Whatever stands in a list file: no panic, and what is read reads as itself.
func FuzzListFile(f *testing.F) {
	f.Add([]byte(listFile))
	f.Add([]byte("::ffff:0:0/96\nbuyer:\x00\n10.0.0.0/8#"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := ParseEntries(Block, "f", text)
		if _, told := errors.AsType[Faults](err); err != nil && !told {
			t.Errorf("the error %v does not tell its lines", err)
		}
		for _, entry := range entries {
			again, err := ParseSubject(entry.Subject.String())
			if err != nil || again != entry.Subject {
				t.Errorf("%q is read as %v, %v", entry.Subject, again, err)
			}
			if err := CheckNote(entry.Reason); err != nil {
				t.Errorf("reason %q: %v", entry.Reason, err)
			}
		}
	})
}
