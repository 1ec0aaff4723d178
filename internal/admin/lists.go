package admin

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// Entry is a line of the block or the allow list.
type Entry struct {
	Entry  string `json:"entry"`            // an address, a prefix, or buyer:ID
	Until  string `json:"until,omitempty"`  // none: until it is removed
	Reason string `json:"reason,omitempty"` // for the shop's people; a buyer never sees it
	By     string `json:"by,omitempty"`     // who wrote it, as far as they said
	At     string `json:"at,omitempty"`     // none: it stands in a file
}

// Lists is the answer of GET /lists.
type Lists struct {
	Block []Entry `json:"block"`
	Allow []Entry `json:"allow"`
}

// Removed is the answer of DELETE /lists/{list}: whether there was something to
// remove.
type Removed struct {
	Removed bool `json:"removed"`
}

func entryOf(e *shop.Entry) Entry {
	return Entry{Entry: e.Subject.String(), Until: moment(e.Until), Reason: e.Reason, By: e.By, At: moment(e.At)}
}

func (d *Door) listLists(w http.ResponseWriter, r *http.Request) {
	_, entries, err := d.Lists.Entries(r.Context(), -1) // no change has that number
	if err != nil {
		d.fail(w, r, err)
		return
	}
	answer := Lists{Block: []Entry{}, Allow: []Entry{}}
	for _, entry := range append(entries, d.Filed()...) {
		if entry.List == shop.Block {
			answer.Block = append(answer.Block, entryOf(&entry))
		} else {
			answer.Allow = append(answer.Allow, entryOf(&entry))
		}
	}
	d.say(w, http.StatusOK, answer)
}

func (d *Door) putEntry(w http.ResponseWriter, r *http.Request) {
	list, subject, ok := d.named(w, r)
	if !ok {
		return
	}
	var wish struct {
		Until  string `json:"until"`
		Reason string `json:"reason"`
		By     string `json:"by"`
	}
	if !form(w, r, &wish) {
		return
	}
	entry := shop.Entry{List: list, Subject: subject, Reason: wish.Reason, By: wish.By, At: d.Now()}
	for name, text := range map[string]string{"reason": wish.Reason, "by": wish.By} {
		if err := shop.CheckNote(text); err != nil {
			refuse(w, *malformed(name + ": " + err.Error() + "."))
			return
		}
	}
	if wish.Until != "" {
		until, err := time.Parse(time.RFC3339, wish.Until)
		if err != nil || !until.After(entry.At) {
			refuse(w, *malformed("until: write a time to come, such as 2026-12-01T12:00:00Z, or leave it out."))
			return
		}
		entry.Until = until.UTC().Truncate(time.Millisecond)
	}
	done, err := d.Lists.Enlist(r.Context(), entry)
	if errors.Is(err, ledger.ErrCrowded) {
		problem(w, wire.Problem{
			Status: http.StatusConflict, Code: codeListFull, Title: "The lists are full",
			Detail: "Both lists together may have " + strconv.Itoa(shop.EntriesMax) + " entries beside those in files. Remove some, or write wider prefixes.",
		})
		return
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	status := http.StatusOK
	if done == ledger.Created {
		status = http.StatusCreated
	}
	if done != ledger.Same {
		d.note(list.String(), roughly(subject))
	}
	d.Listed()
	d.say(w, status, entryOf(&entry))
}

func (d *Door) deleteEntry(w http.ResponseWriter, r *http.Request) {
	list, subject, ok := d.named(w, r)
	if !ok {
		return
	}
	struck, err := d.Lists.Strike(r.Context(), list, subject)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	if struck {
		d.note("un"+list.String(), roughly(subject))
	}
	d.Listed()
	for _, entry := range d.Filed() {
		if entry.List == list && entry.Subject == subject {
			problem(w, wire.Problem{
				Status: http.StatusConflict, Code: codeInFile, Title: "The entry stands in a file",
				Detail: "It goes on counting until its line is gone from " + entry.By + ", which is read again when it changes.",
			})
			return
		}
	}
	d.say(w, http.StatusOK, Removed{struck})
}

// named reads which list the path names, and which entry ?entry= does. It is a
// parameter because a buyer's id may hold what no path does, such as // or ..
func (d *Door) named(w http.ResponseWriter, r *http.Request) (shop.List, shop.Subject, bool) {
	list, ok := shop.ParseList(r.PathValue("list"))
	if !ok {
		d.nowhere(w, r)
		return 0, shop.Subject{}, false
	}
	values, no := parseQuery(r)
	if no != nil {
		refuse(w, *no)
		return 0, shop.Subject{}, false
	}
	for name := range values {
		if name != "entry" {
			refuse(w, *malformed(strconv.Quote(name) + " is not a parameter here; known is entry."))
			return 0, shop.Subject{}, false
		}
	}
	subject, err := shop.ParseSubject(values["entry"])
	if err != nil {
		refuse(w, *malformed("entry: " + err.Error() + "."))
		return 0, shop.Subject{}, false
	}
	return list, subject, true
}

// roughly is what of a subject a log may show.
func roughly(subject shop.Subject) string {
	if subject.Buyer != "" {
		return "a buyer"
	}
	return "addresses of " + gate.Redact(subject.Prefix.Addr())
}
