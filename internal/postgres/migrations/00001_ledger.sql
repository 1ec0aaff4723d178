-- +goose Up
-- Quantities are whole units; numbers of phases, statuses, kinds and account
-- names are those of the Go constants. Texts that are looked up compare by
-- their bytes, as Go does. There are no foreign keys: nothing is ever deleted.

-- What this ledger is. oldest is the oldest protocol of a program that may
-- work on it; granted is the schema for which the roles have their rights; root
-- is the print of the key that claims are hashed with.
CREATE TABLE meta (
  one     BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
  id      UUID    NOT NULL DEFAULT gen_random_uuid(),
  oldest  INTEGER NOT NULL,
  granted BIGINT  NOT NULL DEFAULT 0,
  root    BYTEA
);
INSERT INTO meta (oldest) VALUES (1);

-- Every transaction takes the numbers of its lines from a block of its own, so
-- that they are contiguous; what it does not need is never used.
CREATE SEQUENCE line_blocks AS BIGINT INCREMENT BY 4096 MINVALUE 1 START 1;

-- The turnstile: whoever writes to a sale locks its row first. head is the seq
-- of its last line, at the time of its last transaction; lines and newest count
-- its lines and claims.
CREATE TABLE sales (
  id       INTEGER     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name     TEXT        COLLATE "C" NOT NULL UNIQUE,
  phase    SMALLINT    NOT NULL DEFAULT 0,
  revision BIGINT      NOT NULL DEFAULT 0,
  buckets  INTEGER     NOT NULL CHECK (buckets > 0),
  head     BIGINT      NOT NULL DEFAULT 0,
  lines    BIGINT      NOT NULL DEFAULT 0,
  newest   BIGINT      NOT NULL DEFAULT 0,
  version  BIGINT      NOT NULL DEFAULT 0,
  at       TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- Every document ever published: an equal one changes nothing.
CREATE TABLE revisions (
  sale     INTEGER     NOT NULL,
  number   BIGINT      NOT NULL,
  seq      BIGINT      NOT NULL,
  at       TIMESTAMPTZ NOT NULL,
  hash     BYTEA       NOT NULL,
  document TEXT        NOT NULL,
  PRIMARY KEY (sale, number),
  UNIQUE (sale, hash)
);

CREATE TABLE buckets (
  sale           INTEGER NOT NULL,
  number         INTEGER NOT NULL,
  epoch          BIGINT  NOT NULL DEFAULT 0,
  last_grant     BIGINT  NOT NULL DEFAULT 0,
  reclaim_number BIGINT  NOT NULL DEFAULT 0,
  reclaim_sku    TEXT    COLLATE "C" NOT NULL DEFAULT '',
  reclaim_units  BIGINT  NOT NULL DEFAULT 0,
  PRIMARY KEY (sale, number)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

CREATE TABLE accounts (
  sale   INTEGER  NOT NULL,
  sku    TEXT     COLLATE "C" NOT NULL,
  name   SMALLINT NOT NULL,
  bucket INTEGER  NOT NULL,
  units  BIGINT   NOT NULL CHECK (units >= 0),
  PRIMARY KEY (sale, sku, name, bucket)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- One row per decided ticket, refusals too, and the order it led to. Rows are
-- numbered within the sale, in the order decided; prev is the buyer's claim
-- before in the sale. nonce and key_print are the bits of unsigned numbers. Only a
-- refused claim (status 5) may be of an absurd quantity.
--
-- The ledger line of kind claim is part of the row: line is its seq, 0 for a
-- refused claim, and the columns that it shares with the order are never changed.
-- A row and two index entries less are a third of a ticket's cost.
CREATE TABLE claims (
  row        BIGINT      NOT NULL,
  epoch      BIGINT      NOT NULL,
  seq        BIGINT      NOT NULL,
  nonce      BIGINT      NOT NULL,
  key_print  BIGINT      NOT NULL,
  quantity   BIGINT      NOT NULL CHECK (quantity > 0 OR status = 5),
  amount     BIGINT      NOT NULL CHECK (amount >= 0),
  created_at TIMESTAMPTZ NOT NULL,
  pay_by     TIMESTAMPTZ,
  as_of      BIGINT      NOT NULL,
  prev       BIGINT      NOT NULL,
  line       BIGINT      NOT NULL,
  claim      UUID        NOT NULL UNIQUE,
  sale       INTEGER     NOT NULL,
  bucket     INTEGER     NOT NULL,
  taken_from SMALLINT    NOT NULL,
  status     SMALLINT    NOT NULL,
  sku        TEXT        COLLATE "C" NOT NULL,
  buyer      TEXT        COLLATE "C" NOT NULL,
  reason     TEXT        COLLATE "C" NOT NULL,
  currency   TEXT        COLLATE "C" NOT NULL,
  reference  TEXT        COLLATE "C" NOT NULL,
  PRIMARY KEY (sale, row)
);

CREATE INDEX claims_due ON claims (pay_by) WHERE status = 1;

CREATE TABLE quotas (
  sale   INTEGER NOT NULL,
  buyer  TEXT    COLLATE "C" NOT NULL,
  units  BIGINT  NOT NULL,
  lim    BIGINT  NOT NULL,
  newest BIGINT  NOT NULL,
  PRIMARY KEY (sale, buyer),
  CHECK (0 <= units AND units <= lim)
);

-- Every line but those of kind claim; only ever appended. claim is the row of
-- the claim concerned, 0 for none.
CREATE TABLE lines (
  seq      BIGINT      PRIMARY KEY,
  claim    BIGINT      NOT NULL,
  quantity BIGINT      NOT NULL CHECK (quantity >= 0),
  at       TIMESTAMPTZ NOT NULL,
  sale     INTEGER     NOT NULL,
  bucket   INTEGER     NOT NULL,
  kind     SMALLINT    NOT NULL CHECK (kind <> 3),
  source   SMALLINT    NOT NULL,
  target   SMALLINT    NOT NULL,
  sku      TEXT        COLLATE "C" NOT NULL,
  ref      TEXT        COLLATE "C" NOT NULL
);

-- No two lines of a kind bear the same ref.
CREATE UNIQUE INDEX lines_ref ON lines (sale, kind, claim, ref);

CREATE TABLE charges (
  id        BIGINT      GENERATED ALWAYS AS IDENTITY,
  sale      INTEGER     NOT NULL,
  claim     BIGINT      NOT NULL,
  reference TEXT        COLLATE "C" NOT NULL,
  event     TEXT        COLLATE "C" NOT NULL,
  amount    BIGINT      NOT NULL,
  currency  TEXT        COLLATE "C" NOT NULL,
  due       BOOLEAN     NOT NULL,
  at        TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (sale, claim, reference)
);

CREATE UNIQUE INDEX charges_event ON charges (event) WHERE event <> '';
