-- +goose Up
-- Times are milliseconds since 1970, UTC; quantities are whole units; numbers
-- of phases, statuses, kinds and account names are those of the Go constants.

CREATE TABLE sales (
  id       INTEGER PRIMARY KEY,
  name     TEXT    NOT NULL UNIQUE,
  phase    INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  buckets  INTEGER NOT NULL CHECK (buckets > 0),
  moved_at INTEGER NOT NULL,
  oldest   INTEGER NOT NULL DEFAULT 0, -- its first and
  newest   INTEGER NOT NULL DEFAULT 0  -- last row of claims: a list reads between.
                                       -- Of claims after the largest newest of all
                                       -- sales these do not know yet
) STRICT;

-- Every document ever published: an equal one changes nothing.
CREATE TABLE revisions (
  sale     INTEGER NOT NULL,
  number   INTEGER NOT NULL,
  seq      INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  hash     BLOB    NOT NULL,
  document TEXT    NOT NULL,
  PRIMARY KEY (sale, number),
  UNIQUE (sale, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE skus (
  id   INTEGER PRIMARY KEY,
  sale INTEGER NOT NULL,
  name TEXT    NOT NULL,
  UNIQUE (sale, name)
) STRICT;

CREATE TABLE buckets (
  sale           INTEGER NOT NULL,
  number         INTEGER NOT NULL,
  epoch          INTEGER NOT NULL,
  last_grant     INTEGER NOT NULL,
  reclaim_number INTEGER NOT NULL,
  reclaim_sku    TEXT    NOT NULL,
  reclaim_units  INTEGER NOT NULL,
  PRIMARY KEY (sale, number)
) STRICT, WITHOUT ROWID;

-- Each claim changes two of these: by a number of their own they are found
-- quickest, and the row is written over in its place.
CREATE TABLE accounts (
  id     INTEGER PRIMARY KEY,
  sale   INTEGER NOT NULL,
  sku    INTEGER NOT NULL,
  name   INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  units  INTEGER NOT NULL CHECK (units >= 0),
  UNIQUE (sale, sku, name, bucket)
) STRICT;

-- One row per decided ticket, refusals too, and the order it led to. Rows are
-- numbered in the order decided; prev is the buyer's claim before in the sale.
-- nonce and key_print are the bits of unsigned numbers. Only a refused ticket
-- (status 5) may bear an absurd quantity: it is kept as it came.
CREATE TABLE claims (
  row        INTEGER PRIMARY KEY,
  claim      BLOB    NOT NULL UNIQUE CHECK (length(claim) = 16),
  sale       INTEGER NOT NULL,
  sku        INTEGER NOT NULL,
  bucket     INTEGER NOT NULL,
  epoch      INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  nonce      INTEGER NOT NULL,
  key_print  INTEGER NOT NULL,
  buyer      TEXT    NOT NULL,
  quantity   INTEGER NOT NULL CHECK (quantity > 0 OR status = 5),
  taken_from INTEGER NOT NULL,
  status     INTEGER NOT NULL,
  reason     TEXT    NOT NULL,
  amount     INTEGER NOT NULL CHECK (amount >= 0),
  currency   TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  pay_by     INTEGER NOT NULL,
  as_of      INTEGER NOT NULL,
  reference  TEXT    NOT NULL,
  prev       INTEGER NOT NULL
) STRICT;

CREATE INDEX claims_due ON claims (pay_by) WHERE status = 1;

CREATE TABLE quotas (
  sale   INTEGER NOT NULL,
  buyer  TEXT    NOT NULL,
  units  INTEGER NOT NULL,
  lim    INTEGER NOT NULL,
  newest INTEGER NOT NULL,
  PRIMARY KEY (sale, buyer),
  CHECK (0 <= units AND units <= lim)
) STRICT, WITHOUT ROWID;

-- Only ever appended. claim is the row of the claim concerned, 0 for none: an
-- index by the claim's random id would cost more than all the rest.
CREATE TABLE lines (
  seq      INTEGER PRIMARY KEY,
  sale     INTEGER NOT NULL,
  sku      INTEGER NOT NULL,
  kind     INTEGER NOT NULL,
  source   INTEGER NOT NULL,
  target   INTEGER NOT NULL,
  bucket   INTEGER NOT NULL,
  quantity INTEGER NOT NULL CHECK (quantity >= 0),
  claim    INTEGER NOT NULL,
  ref      TEXT    NOT NULL,
  at       INTEGER NOT NULL
) STRICT;

-- No two lines of a kind bear the same ref. For the kind of which there are
-- most, the claim is all of the ref.
CREATE UNIQUE INDEX lines_claim ON lines (claim) WHERE kind = 3;
CREATE UNIQUE INDEX lines_ref ON lines (kind, claim, ref) WHERE kind <> 3;

CREATE TABLE charges (
  id        INTEGER PRIMARY KEY,
  claim     INTEGER NOT NULL,
  reference TEXT    NOT NULL,
  event     TEXT    NOT NULL,
  amount    INTEGER NOT NULL,
  currency  TEXT    NOT NULL,
  due       INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  UNIQUE (claim, reference)
) STRICT;

CREATE UNIQUE INDEX charges_event ON charges (event) WHERE event <> '';
