-- By which price of which price book a line was priced: rate@book.
ALTER TABLE entries ADD COLUMN price TEXT;
ALTER TABLE intents ADD COLUMN price TEXT;

-- 100 means never before the limit itself.
ALTER TABLE budgets
    ADD COLUMN features_off_percent SMALLINT NOT NULL DEFAULT 100,
    ADD COLUMN squeeze_percent SMALLINT NOT NULL DEFAULT 100,
    ADD COLUMN squeeze_to INTEGER NOT NULL DEFAULT 1;

-- What happened that somebody should hear of. A subject's events are numbered, so that each is raised once whoever
-- sees it first. Whoever adds one holds a lock until it is committed, so that places rise in the order of commits.
CREATE TABLE events (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      UUID   NOT NULL,
    at      BIGINT NOT NULL,
    subject TEXT   COLLATE "C" NOT NULL,
    number  BIGINT NOT NULL,
    body    TEXT   NOT NULL, -- JSON
    UNIQUE (subject, number)
);

-- How far whoever passes events on has come, and which process does so until when.
CREATE TABLE event_readers (
    reader TEXT   COLLATE "C" PRIMARY KEY,
    seq    BIGINT NOT NULL,
    owner  TEXT   NOT NULL,
    until  BIGINT NOT NULL
);
