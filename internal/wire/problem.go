package wire

import (
	"net/http"
	"strconv"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// ProblemType is the media type of a problem (RFC 9457).
const ProblemType = "application/problem+json"

// Problem is an answer that says no. Buyers' problems come from a refusal
// (AppendRefusal); operators have a few of their own.
type Problem struct {
	Status  int
	Code    string // stable; programs read it
	Title   string // the same for all problems of a code
	Detail  string // one sentence that says what to do
	Reasons []string
}

// AppendProblem appends the problem as JSON.
func AppendProblem(to []byte, p Problem) []byte {
	to = appendHead(to, p)
	if p.Reasons != nil {
		to = append(to, `,"reasons":[`...)
		for i, reason := range p.Reasons {
			if i > 0 {
				to = append(to, ',')
			}
			to = AppendString(to, reason)
		}
		to = append(to, ']')
	}
	return append(to, '}')
}

// AppendRefusal appends the refusal as a problem.
func AppendRefusal(to []byte, no *shop.Refusal) []byte {
	to = appendHead(to, ProblemOf(no))
	if no.Code == shop.SoldOut {
		to = append(to, `,"may_return":`...)
		to = strconv.AppendBool(to, no.MayReturn)
	}
	if no.AsOf > 0 {
		to = append(to, `,"as_of":`...)
		to = strconv.AppendInt(to, no.AsOf, 10)
	}
	if no.Code == shop.LimitReached {
		to = append(to, `,"orders":[`...)
		for i, id := range no.Orders {
			if i > 0 {
				to = append(to, ',')
			}
			to = AppendID(to, id)
		}
		to = append(to, ']')
	}
	if no.Challenge != "" {
		to = append(to, `,"challenge":`...)
		to = AppendString(to, no.Challenge)
	}
	if no.Order != nil {
		to = append(to, `,"order":`...)
		to = AppendOrder(to, no.Order, false)
	}
	return append(to, '}')
}

// ProblemOf returns what every refusal shares with other problems.
func ProblemOf(no *shop.Refusal) Problem {
	return Problem{Status: Status(no.Code), Code: string(no.Code), Title: Title(no.Code), Detail: no.Detail}
}

func appendHead(to []byte, p Problem) []byte {
	if p.Detail == "" {
		p.Detail = p.Title + "."
	}
	to = append(to, `{"type":"/problems/`...)
	to = append(to, p.Code...)
	to = append(to, `","title":`...)
	to = AppendString(to, p.Title)
	to = append(to, `,"status":`...)
	to = strconv.AppendInt(to, int64(p.Status), 10)
	to = append(to, `,"detail":`...)
	to = AppendString(to, p.Detail)
	to = append(to, `,"code":"`...)
	to = append(to, p.Code...)
	return append(to, '"')
}

// Status returns the HTTP status of a refusal's code.
func Status(code shop.Code) int {
	switch code {
	case shop.Malformed:
		return http.StatusBadRequest
	case shop.Unauthorized:
		return http.StatusUnauthorized
	case shop.Forbidden, shop.ChallengeRequired, shop.PassRequired:
		return http.StatusForbidden
	case shop.NotFound:
		return http.StatusNotFound
	case shop.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case shop.TooLarge:
		return http.StatusRequestEntityTooLarge
	case shop.UnsupportedMedia:
		return http.StatusUnsupportedMediaType
	case shop.NotOpen, shop.SaleClosed, shop.SalePaused, shop.SoldOut, shop.NotEnough, shop.Missed,
		shop.LimitReached, shop.WrongStatus:
		return http.StatusConflict
	case shop.KeyReused:
		return http.StatusUnprocessableEntity
	case shop.TooManyRequests:
		return http.StatusTooManyRequests
	case shop.Overloaded, shop.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Title returns the title of a refusal's code.
func Title(code shop.Code) string {
	switch code {
	case shop.Malformed:
		return "The request cannot be read"
	case shop.Unauthorized:
		return "The token is missing or does not hold"
	case shop.Forbidden:
		return "This is not allowed"
	case shop.ChallengeRequired:
		return "A challenge has to be solved first"
	case shop.PassRequired:
		return "A pass is needed"
	case shop.NotFound:
		return "There is no such thing"
	case shop.MethodNotAllowed:
		return "The address does not know this method"
	case shop.TooLarge:
		return "The request is too large"
	case shop.UnsupportedMedia:
		return "The request is not JSON"
	case shop.TooManyRequests:
		return "Too many requests"
	case shop.Overloaded:
		return "Too many buyers at this moment"
	case shop.Unavailable:
		return "Not available at this moment"
	default:
		return saleTitle(code)
	}
}

// saleTitle returns the titles of what a sale says no with.
func saleTitle(code shop.Code) string {
	switch code {
	case shop.NotOpen:
		return "The sale is not open yet"
	case shop.SaleClosed:
		return "The sale is closed"
	case shop.SalePaused:
		return "The sale is paused"
	case shop.SoldOut:
		return "Sold out"
	case shop.NotEnough:
		return "Fewer units are free than asked"
	case shop.Missed:
		return "The last unit went to someone else"
	case shop.LimitReached:
		return "The limit per buyer is reached"
	case shop.WrongStatus:
		return "The order's status does not allow this"
	case shop.KeyReused:
		return "The Idempotency-Key belongs to another order"
	default:
		return "Something went wrong"
	}
}
