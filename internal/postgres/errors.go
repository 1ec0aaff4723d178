package postgres

import (
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs that mean something to us.
const (
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateLocked        = "55P03" // lock_timeout
	stateUnique        = "23505"
	stateFull          = "53100"
	stateReadOnly      = "25006"
	stateNoTable       = "42P01"
	stateNoSchema      = "3F000"
	stateDenied        = "42501"
	stateDuplicate     = "42710"
	stateInternal      = "XX000" // also "tuple concurrently updated", of catalogues
	statePage          = "XX001"
	stateIndex         = "XX002"
)

// errStale says that a transaction met a sale that this node does not know in
// its present form: it learns it and begins anew.
var errStale = errors.New("postgres: the sale was published anew")

// errAgain asks for a transaction to begin anew, from what is in the tables.
var errAgain = errors.New("postgres: once more")

// state is the SQLSTATE behind an error; empty for none.
func state(err error) string {
	if fault, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fault.Code
	}
	return ""
}

// tableOf is the table whose rule an error is about; empty for none.
func tableOf(err error) string {
	if fault, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fault.TableName
	}
	return ""
}

// contested reports whether another transaction was in the way: nothing was
// written, and the same again may well pass.
func contested(err error) bool {
	switch state(err) {
	case stateSerialization, stateDeadlock, stateLocked, stateUnique:
		return true
	}
	return errors.Is(err, errStale) || errors.Is(err, errCrowded) || errors.Is(err, errAgain)
}

// explain turns PostgreSQL's words into what callers know.
func explain(err error) error {
	switch state(err) {
	case stateFull:
		return ledger.ErrFull
	case statePage, stateIndex:
		return fmt.Errorf("the database is damaged; keep a copy of it and restore a backup: %w", err)
	}
	return err
}
