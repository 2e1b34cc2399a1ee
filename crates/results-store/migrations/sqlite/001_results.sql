-- One result a row. The document is the result's JSON, of whatever contract version it was written under.
CREATE TABLE results (
    principal        TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    contract_version INTEGER NOT NULL,
    status           TEXT    NOT NULL,
    created_at       INTEGER NOT NULL, -- microseconds since 1970
    document         TEXT    NOT NULL,
    PRIMARY KEY (principal, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX results_by_id ON results (id);
