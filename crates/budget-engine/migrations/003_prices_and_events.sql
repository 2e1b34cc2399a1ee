-- By which price of which price book a line was priced: rate@book.
ALTER TABLE entries ADD COLUMN price TEXT;
ALTER TABLE intents ADD COLUMN price TEXT;

-- 100 means never before the limit itself.
ALTER TABLE budgets ADD COLUMN features_off_percent INTEGER NOT NULL DEFAULT 100;
ALTER TABLE budgets ADD COLUMN squeeze_percent INTEGER NOT NULL DEFAULT 100;
ALTER TABLE budgets ADD COLUMN squeeze_to INTEGER NOT NULL DEFAULT 1;

-- What happened that somebody should hear of. A subject's events are numbered, so that each is raised once whoever
-- sees it first.
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    subject TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    body    TEXT    NOT NULL, -- JSON
    UNIQUE (subject, number)
) STRICT;

-- How far whoever passes events on has come, and which process does so until when.
CREATE TABLE event_readers (
    reader TEXT    PRIMARY KEY,
    seq    INTEGER NOT NULL,
    owner  TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT;
