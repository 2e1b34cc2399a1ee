-- Programs that answered, by what has to be the same for them to be used again. Losing them costs calls of a model.
CREATE TABLE programs (
    key     BLOB    NOT NULL PRIMARY KEY,
    kept_at INTEGER NOT NULL, -- counts upwards, so that the oldest can go
    program TEXT    NOT NULL  -- JSON
) STRICT;
CREATE INDEX programs_by_age ON programs (kept_at);
