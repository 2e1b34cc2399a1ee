-- Times are microseconds since 1970. Of a key's secret and a session's token only the SHA-256 is kept.

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    -- A JSON array; the first is the user.
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    replaced_by TEXT REFERENCES keys (id),
    last_used_at INTEGER
) STRICT;

-- A key is never forgotten, so that the audit log can always say whose it was.
CREATE TRIGGER keys_are_kept BEFORE DELETE ON keys BEGIN
    SELECT RAISE(ABORT, 'a key is revoked, never deleted');
END;
CREATE TRIGGER keys_stay_revoked BEFORE UPDATE OF revoked_at ON keys
WHEN old.revoked_at IS NOT NULL AND new.revoked_at IS NOT old.revoked_at BEGIN
    SELECT RAISE(ABORT, 'a revoked key stays revoked');
END;

CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
    key_id TEXT NOT NULL REFERENCES keys (id),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    key_id TEXT,
    origin TEXT NOT NULL,
    act TEXT NOT NULL,
    target TEXT NOT NULL,
    -- JSON documents.
    state_before TEXT,
    state_after TEXT
) STRICT;

-- How an act ended; one that has no row here was broken off, and may or may not have been done.
CREATE TABLE audit_outcomes (
    seq INTEGER PRIMARY KEY REFERENCES audit (seq),
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT
) STRICT;

CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_outcomes_are_append_only BEFORE UPDATE ON audit_outcomes BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_outcomes_are_kept BEFORE DELETE ON audit_outcomes BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
