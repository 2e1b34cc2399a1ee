-- Retention looks for the oldest of all principals.
CREATE INDEX results_by_age ON results (created_at);
