-- +goose Up
-- Whom the gate turns away or lets past the limits. change counts what was done
-- to both lists; its row is the turnstile of whoever does. A row that was struck
-- out stays: who wrote it is found later.

CREATE TABLE gate_lists (
  one    BOOLEAN PRIMARY KEY CHECK (one),
  change BIGINT  NOT NULL
);

CREATE TABLE gate_entries (
  list    SMALLINT    NOT NULL,
  subject TEXT        COLLATE "C" NOT NULL,
  struck  BOOLEAN     NOT NULL,
  until   TIMESTAMPTZ, -- none: for good
  reason  TEXT        COLLATE "C" NOT NULL,
  author  TEXT        COLLATE "C" NOT NULL,
  at      TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (list, subject)
);
