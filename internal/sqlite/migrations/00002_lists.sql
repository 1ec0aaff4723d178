-- +goose Up
-- Whom the gate turns away or lets past the limits. change counts what was done
-- to both lists. A row that was struck out stays: who wrote it is found later.

CREATE TABLE gate_lists (
  one    INTEGER PRIMARY KEY CHECK (one = 1),
  change INTEGER NOT NULL
) STRICT;

CREATE TABLE gate_entries (
  list    INTEGER NOT NULL,
  subject TEXT    NOT NULL,
  struck  INTEGER NOT NULL,
  until   INTEGER NOT NULL, -- 0: for good
  reason  TEXT    NOT NULL,
  author  TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (list, subject)
) STRICT, WITHOUT ROWID;
