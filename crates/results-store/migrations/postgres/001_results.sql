-- One result a row. The document is the result's JSON, of whatever contract version it was written under: as text, so
-- that it comes back to the byte and may name the character NUL, which jsonb does not. `document::json` reads it.
CREATE TABLE results (
    principal        TEXT        COLLATE "C" NOT NULL,
    id               UUID        NOT NULL,
    contract_version BIGINT      NOT NULL,
    status           TEXT        NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    document         TEXT        NOT NULL,
    PRIMARY KEY (principal, id)
);
-- An id belongs to one principal.
CREATE UNIQUE INDEX results_by_id ON results (id);
-- Retention looks for the oldest of all principals.
CREATE INDEX results_by_age ON results (created_at);
