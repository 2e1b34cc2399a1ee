-- Carry-over, degraded allowance, top-ups, the kill switch; grace; what is metered of an intent; pieces of rolling
-- windows. 253402207200000000 is the end of time.

ALTER TABLE budgets ADD COLUMN carry_over INTEGER NOT NULL DEFAULT 0;
ALTER TABLE budgets ADD COLUMN degraded_allowance INTEGER NOT NULL DEFAULT 0;
ALTER TABLE budgets ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

CREATE TABLE top_ups (
    id         TEXT    PRIMARY KEY,
    scope      TEXT    NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    granted_at INTEGER NOT NULL,
    expires_at INTEGER,
    note       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX top_ups_by_scope ON top_ups (scope);

-- At most one row: while it is there, all spending is stopped.
CREATE TABLE stop (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    since  INTEGER NOT NULL,
    reason TEXT    NOT NULL
) STRICT;

ALTER TABLE balances ADD COLUMN ends_at INTEGER NOT NULL DEFAULT 253402207200000000;
ALTER TABLE balances ADD COLUMN spend_limit INTEGER NOT NULL DEFAULT 0; -- without additions, when the last hold was opened

ALTER TABLE holds ADD COLUMN grace INTEGER NOT NULL DEFAULT 0;
ALTER TABLE holds ADD COLUMN degraded INTEGER NOT NULL DEFAULT 0;
-- When the hold ends by itself: expires_at and grace.
ALTER TABLE holds ADD COLUMN ends_at INTEGER NOT NULL DEFAULT 0;
UPDATE holds SET ends_at = expires_at;
DROP INDEX holds_open;
CREATE INDEX holds_open ON holds (ends_at) WHERE state = 'open';

ALTER TABLE claims ADD COLUMN ends_at INTEGER NOT NULL DEFAULT 253402207200000000;

ALTER TABLE intents ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intents ADD COLUMN reference TEXT;
ALTER TABLE intents ADD COLUMN metered INTEGER NOT NULL DEFAULT 0;
CREATE INDEX intents_estimated ON intents (hold) WHERE state = 'booked';

ALTER TABLE entries ADD COLUMN counts_at INTEGER;
ALTER TABLE entries ADD COLUMN note TEXT;
CREATE INDEX entries_by_time ON entries (at) WHERE spent_change <> 0;
