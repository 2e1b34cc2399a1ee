-- Money is whole nano-dollars, time whole microseconds since 1970, scopes their percent-encoded text.

CREATE TABLE budgets (
    scope           TEXT    PRIMARY KEY,
    spend_limit     INTEGER NOT NULL CHECK (spend_limit >= 0),
    time_window     TEXT    NOT NULL,
    warn_percent    INTEGER NOT NULL,
    degrade_percent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The running sums of the entries, per scope and period.
CREATE TABLE balances (
    scope  TEXT    NOT NULL,
    period TEXT    NOT NULL,
    spent  INTEGER NOT NULL CHECK (spent >= 0),
    held   INTEGER NOT NULL CHECK (held >= 0),
    PRIMARY KEY (scope, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    id              TEXT    PRIMARY KEY,
    scopes          TEXT    NOT NULL, -- separated by spaces
    requested       INTEGER NOT NULL,
    at_least        INTEGER,
    amount          INTEGER NOT NULL,
    drawn           INTEGER NOT NULL,
    purpose         TEXT    NOT NULL,
    idempotency_key TEXT    UNIQUE,
    state           TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_open ON holds (expires_at) WHERE state = 'open';

CREATE TABLE claims (
    hold        TEXT    NOT NULL REFERENCES holds (id),
    place       INTEGER NOT NULL,
    scope       TEXT    NOT NULL,
    period      TEXT    NOT NULL,
    spend_limit INTEGER NOT NULL, -- when the hold was admitted
    PRIMARY KEY (hold, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
    hold     TEXT    NOT NULL REFERENCES holds (id),
    place    INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    item     TEXT    NOT NULL,
    quantity INTEGER NOT NULL,
    unit     TEXT    NOT NULL,
    amount   INTEGER NOT NULL,
    state    TEXT    NOT NULL,
    PRIMARY KEY (hold, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    hold         TEXT    REFERENCES holds (id),
    scope        TEXT,
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    item         TEXT,
    quantity     INTEGER,
    unit         TEXT,
    estimated    INTEGER,
    draw_key     TEXT,
    held_change  INTEGER NOT NULL,
    spent_change INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_by_draw_key ON entries (hold, draw_key) WHERE draw_key IS NOT NULL;

CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE (ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE (ABORT, 'the ledger is append-only'); END;
