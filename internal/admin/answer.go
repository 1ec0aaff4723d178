package admin

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

// bodyMax bounds every body but a sale document, in bytes.
const bodyMax = 4 << 10

// askAgain is how long an operator waits when the ledger cannot answer.
const askAgain = 5 * time.Second

// Problems that only operators meet.
const (
	codePromise = "promise_broken"
	codeNoSale  = "not_a_sale"
	// Of the lists.
	codeListFull = "list_full"
	codeInFile   = "in_a_file"
)

// say answers with a value as JSON.
func (d *Door) say(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // plain structs: only a programmer can bring this about
		d.Log.Error("an answer to an operator cannot be written as JSON", slog.Any("error", err))
		status, body = http.StatusInternalServerError, nil
	}
	write(w, status, "application/json", body)
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the operator may be gone; nobody is left to tell
}

func sayOrder(w http.ResponseWriter, order shop.Order) {
	write(w, http.StatusOK, "application/json", wire.AppendOrder(nil, &order, true))
}

// refuse answers with a refusal as a problem.
func refuse(w http.ResponseWriter, no shop.Refusal) {
	if no.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(no.RetryAfter.Seconds()))))
	}
	write(w, wire.Status(no.Code), wire.ProblemType, wire.AppendRefusal(nil, &no))
}

func problem(w http.ResponseWriter, p wire.Problem) {
	write(w, p.Status, wire.ProblemType, wire.AppendProblem(nil, p))
}

// notASale answers a document that is not a sale, with every fault in it.
func notASale(w http.ResponseWriter, err error) {
	reasons := []string{err.Error()}
	if faults, ok := errors.AsType[shop.Faults](err); ok {
		reasons = faults.Lines()
	}
	problem(w, wire.Problem{
		Status: http.StatusUnprocessableEntity, Code: codeNoSale, Title: "The document is not a sale of this name",
		Detail: "Mend what reasons names, then send it again.", Reasons: reasons,
	})
}

// promise answers a change that would break a promise already made.
func promise(w http.ResponseWriter, reasons ...string) {
	problem(w, wire.Problem{
		Status: http.StatusConflict, Code: codePromise, Title: "This would break a promise already made",
		Detail: "The sale stands as it was. Mend what reasons names, then send it again.", Reasons: reasons,
	})
}

// fail answers with the error that a station returned.
func (d *Door) fail(w http.ResponseWriter, r *http.Request, err error) {
	if no, ok := errors.AsType[shop.Refusal](err); ok {
		refuse(w, no)
		return
	}
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		refuse(w, shop.Refusal{Code: shop.NotFound, Detail: "There is no such sale or order."})
	case errors.Is(err, ledger.ErrFull):
		refuse(w, shop.Refusal{Code: shop.Unavailable, Detail: "The ledger's disk is full; nothing was written. Make room, then try again.", RetryAfter: askAgain})
	case errors.Is(err, ledger.ErrBehind):
		refuse(w, shop.Refusal{
			Code: shop.Unavailable, RetryAfter: askAgain,
			Detail: "The ledger is older than what was promised: it has lost history. Nothing was done. Restore the newest ledger, then ask again.",
		})
	default:
		if r.Context().Err() == nil {
			d.Log.Error("an operator's request failed", slog.String("method", r.Method), slog.String("path", r.Pattern), slog.Any("error", err))
		}
		refuse(w, shop.Refusal{Code: shop.Unavailable, Detail: "The ledger did not answer; what was asked may have been done. Asking again does no harm.", RetryAfter: askAgain})
	}
}

// note logs what an operator did: who changes a sale wants to find it later.
func (d *Door) note(did, to string) {
	d.Log.Info("operator", slog.String("did", did), slog.String("to", to))
}

// body reads a JSON body of at most so many bytes; an empty one is nil. When
// it returns false, it has answered.
func body(w http.ResponseWriter, r *http.Request, most int64) ([]byte, bool) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		refuse(w, shop.Refusal{Code: shop.TooLarge, Detail: "The body may have " + strconv.FormatInt(most, 10) + " bytes."})
		return nil, false
	}
	if err != nil {
		refuse(w, shop.Refusal{Code: shop.Malformed, Detail: "The body ended too early."})
		return nil, false
	}
	if len(data) == 0 && r.Header.Get("Content-Type") == "" {
		return nil, true
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		refuse(w, shop.Refusal{Code: shop.UnsupportedMedia, Detail: "Send JSON, as Content-Type: application/json."})
		return nil, false
	}
	return data, true
}

// form reads a small JSON object strictly into value.
func form(w http.ResponseWriter, r *http.Request, value any) bool {
	data, ok := body(w, r, bodyMax)
	if !ok {
		return false
	}
	if data == nil {
		data = []byte("{}")
	}
	if err := shop.DecodeStrict(data, value); err != nil {
		refuse(w, shop.Refusal{Code: shop.Malformed, Detail: "The body does not fit: " + err.Error() + "."})
		return false
	}
	return true
}
