-- Money is whole nano-dollars, time whole microseconds since 1970, scopes their percent-encoded text. Texts compare
-- byte by byte, whatever the language of the database. The entries say all there is to know of a hold; foreign keys
-- would cost a look-up for each of them, and `verify` finds what they would.

CREATE TABLE budgets (
    scope              TEXT     COLLATE "C" PRIMARY KEY,
    spend_limit        BIGINT   NOT NULL CHECK (spend_limit >= 0),
    time_window        TEXT     NOT NULL,
    warn_percent       SMALLINT NOT NULL,
    degrade_percent    SMALLINT NOT NULL,
    carry_over         BIGINT   NOT NULL,
    degraded_allowance BIGINT   NOT NULL,
    since              BIGINT   NOT NULL
);

CREATE TABLE top_ups (
    id         UUID   PRIMARY KEY,
    scope      TEXT   COLLATE "C" NOT NULL,
    amount     BIGINT NOT NULL CHECK (amount > 0),
    granted_at BIGINT NOT NULL,
    expires_at BIGINT,
    note       TEXT   NOT NULL
);
CREATE INDEX top_ups_by_scope ON top_ups (scope);

-- At most one row: while it is there, all spending is stopped.
CREATE TABLE stop (
    one    SMALLINT PRIMARY KEY CHECK (one = 1),
    since  BIGINT   NOT NULL,
    reason TEXT     NOT NULL
);

-- Whoever changes a balance of a scope locks the scope's row before; the balance itself may not be there yet.
CREATE TABLE scopes (
    scope TEXT COLLATE "C" PRIMARY KEY
) WITH (fillfactor = 80);

-- The running sums of the entries, per scope and period.
CREATE TABLE balances (
    scope       TEXT   COLLATE "C" NOT NULL,
    period      TEXT   COLLATE "C" NOT NULL,
    ends_at     BIGINT NOT NULL,
    spend_limit BIGINT NOT NULL, -- without additions, when the last hold was opened
    spent       BIGINT NOT NULL CHECK (spent >= 0),
    held        BIGINT NOT NULL CHECK (held >= 0),
    PRIMARY KEY (scope, period)
) WITH (fillfactor = 50);

CREATE TABLE holds (
    id              UUID    PRIMARY KEY,
    scopes          TEXT    NOT NULL, -- separated by spaces
    requested       BIGINT  NOT NULL,
    at_least        BIGINT,
    amount          BIGINT  NOT NULL,
    drawn           BIGINT  NOT NULL,
    purpose         TEXT    NOT NULL,
    idempotency_key TEXT    COLLATE "C" UNIQUE,
    state           TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    expires_at      BIGINT  NOT NULL,
    grace           BIGINT  NOT NULL,
    ends_at         BIGINT  NOT NULL, -- by itself: expires_at and grace
    degraded        BOOLEAN NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX holds_open ON holds (ends_at) WHERE state = 'open';

CREATE TABLE claims (
    hold        UUID     NOT NULL,
    place       SMALLINT NOT NULL,
    scope       TEXT     COLLATE "C" NOT NULL,
    period      TEXT     COLLATE "C" NOT NULL,
    spend_limit BIGINT   NOT NULL, -- when the hold was admitted
    ends_at     BIGINT   NOT NULL,
    PRIMARY KEY (hold, place)
);

CREATE TABLE intents (
    hold      UUID    NOT NULL,
    place     INTEGER NOT NULL,
    id        UUID    NOT NULL,
    item      TEXT    NOT NULL,
    quantity  BIGINT  NOT NULL,
    unit      TEXT    NOT NULL,
    amount    BIGINT  NOT NULL,
    state     TEXT    NOT NULL,
    at        BIGINT  NOT NULL,
    reference TEXT,
    metered   BIGINT  NOT NULL,
    PRIMARY KEY (hold, place)
);
CREATE INDEX intents_estimated ON intents (hold) WHERE state = 'booked';

CREATE TABLE entries (
    seq          BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           BIGINT  NOT NULL,
    kind         TEXT    NOT NULL,
    hold         UUID,
    scope        TEXT    COLLATE "C",
    amount       BIGINT  NOT NULL CHECK (amount >= 0),
    item         TEXT,
    quantity     BIGINT,
    unit         TEXT,
    estimated    BOOLEAN,
    draw_key     TEXT    COLLATE "C",
    held_change  BIGINT  NOT NULL,
    spent_change BIGINT  NOT NULL,
    counts_at    BIGINT,
    note         TEXT
);
CREATE UNIQUE INDEX entries_by_draw_key ON entries (hold, draw_key) WHERE draw_key IS NOT NULL;
CREATE INDEX entries_by_time ON entries (at) WHERE spent_change <> 0;

CREATE FUNCTION refuse_to_change_the_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only';
END
$$;
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION refuse_to_change_the_ledger();
CREATE TRIGGER entries_are_never_emptied BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_ledger();

-- One row each replica that writes: the number of its last batch that was kept. A replica that lost its connection
-- while it committed learns here what became of the batch.
CREATE TABLE writers (
    writer  UUID        PRIMARY KEY,
    batch   BIGINT      NOT NULL,
    used_at TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
