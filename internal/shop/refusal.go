package shop

import "time"

// Code is the stable name of a refusal: what programs read, what is counted.
type Code string

// Every code of the public contract.
const (
	Malformed         Code = "malformed"
	Unauthorized      Code = "unauthorized"
	Forbidden         Code = "forbidden"
	ChallengeRequired Code = "challenge_required"
	PassRequired      Code = "pass_required"
	NotFound          Code = "not_found"
	MethodNotAllowed  Code = "method_not_allowed"
	TooLarge          Code = "too_large"
	UnsupportedMedia  Code = "unsupported_media_type"
	NotOpen           Code = "not_open"
	SaleClosed        Code = "closed"
	SalePaused        Code = "paused"
	SoldOut           Code = "sold_out"
	NotEnough         Code = "not_enough"
	Missed            Code = "missed"
	LimitReached      Code = "limit_reached"
	WrongStatus       Code = "wrong_status"
	KeyReused         Code = "key_reused"
	TooManyRequests   Code = "too_many_requests"
	Overloaded        Code = "overloaded"
	Unavailable       Code = "unavailable"
)

// Codes lists every code: the closed set behind metric labels and prebuilt
// answers.
func Codes() []Code {
	return []Code{
		Malformed, Unauthorized, Forbidden, ChallengeRequired, PassRequired, NotFound,
		MethodNotAllowed, TooLarge, UnsupportedMedia, NotOpen, SaleClosed, SalePaused,
		SoldOut, NotEnough, Missed, LimitReached, WrongStatus, KeyReused, TooManyRequests,
		Overloaded, Unavailable,
	}
}

// Refusal is a no for the buyer: typed, counted, shown. It is not a fault. A
// refusal without an Order binds nothing; one with an Order was decided by the
// ledger and is final for its claim.
type Refusal struct {
	Code       Code
	Detail     string        // one sentence that says what to do
	RetryAfter time.Duration // zero: no such header; doors add the jitter
	MayReturn  bool          // of sold_out: units are still held
	AsOf       int64         // of a final sold_out: the ledger's seq at which it was true
	Orders     []ClaimID     // of limit_reached: what the buyer has
	Order      *Order        // decided: status refused
	Challenge  string        // of challenge_required: where to ask for one
}

func (r Refusal) Error() string {
	if r.Detail == "" {
		return string(r.Code)
	}
	return string(r.Code) + ": " + r.Detail
}
