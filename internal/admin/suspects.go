package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Suspect is what the nodes' gates held against a buyer in a sale.
type Suspect struct {
	Sale    string   `json:"sale"`
	Buyer   string   `json:"buyer"`
	Address string   `json:"address"` // roughly, of the last decision
	Score   int      `json:"score"`
	From    int      `json:"from"` // the score that makes a suspect
	Reasons []string `json:"reasons"`
	Done    string   `json:"done"`  // what came of it
	Times   uint64   `json:"times"` // decisions
	Solved  uint64   `json:"solved"`
	First   string   `json:"first"`
	Last    string   `json:"last"`
	// Undo is the entry of the allow list that clears the buyer; Allowed says
	// that there is one already.
	Undo    string `json:"undo"`
	Allowed bool   `json:"allowed"`
}

// challenged is the only thing that comes of a suspicion.
const challenged = "challenge"

// Suspects is the answer of GET /suspects.
type Suspects struct {
	Suspects []Suspect `json:"suspects"`
}

func (d *Door) listSuspects(w http.ResponseWriter, r *http.Request) {
	values, no := parseQuery(r)
	if no != nil {
		refuse(w, *no)
		return
	}
	for name := range values {
		if name != "sale" {
			refuse(w, *malformed(strconv.Quote(name) + " is not a parameter here; known is sale."))
			return
		}
	}
	answer := Suspects{Suspects: []Suspect{}}
	for _, suspect := range d.Suspects(values["sale"]) {
		answer.Suspects = append(answer.Suspects, suspectOf(&suspect))
	}
	d.say(w, http.StatusOK, answer)
}

func suspectOf(s *gate.Suspect) Suspect {
	reasons := []string{}
	for signal := range s.Signals.All() {
		reasons = append(reasons, signal.String())
	}
	return Suspect{
		Sale: s.Sale, Buyer: s.Buyer, Address: gate.Redact(s.Client),
		Score: s.Signals.Score(), From: gate.SuspectFrom, Reasons: reasons, Done: challenged,
		Times: s.Times, Solved: s.Solved, First: moment(time.Unix(0, s.First)), Last: moment(time.Unix(0, s.Last)),
		Undo: shop.Subject{Buyer: s.Buyer}.String(), Allowed: s.Allowed,
	}
}
