-- What waits for the store, in the order it came; one row a result, with its newest state. A document that is changed
-- while it is on its way has another revision then, and is delivered again.
CREATE TABLE waiting (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    principal  TEXT    NOT NULL,
    id         TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL, -- microseconds since 1970
    ended      INTEGER NOT NULL,
    revision   INTEGER NOT NULL DEFAULT 1,
    attempts   INTEGER NOT NULL DEFAULT 0,
    bytes      INTEGER NOT NULL,
    set_aside  TEXT, -- why the store will never take it
    document   TEXT    NOT NULL
) STRICT;
CREATE INDEX waiting_in_turn ON waiting (principal, seq) WHERE set_aside IS NULL;
CREATE INDEX waiting_by_age ON waiting (created_at);
CREATE INDEX waiting_by_size ON waiting (bytes);

-- Whose the ids of the last deliveries are, and whether they had ended: so that what is another's, and what is a late
-- duplicate, is known before the store says so.
CREATE TABLE delivered (
    seq       INTEGER PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    principal TEXT    NOT NULL,
    ended     INTEGER NOT NULL
) STRICT;
