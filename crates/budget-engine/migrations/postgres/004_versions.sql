-- A replica remembers between its batches what it has read. These numbers rise with each change, so that it finds out
-- in the very transaction that writes whether what it remembers still holds.

-- Tables are changed in the order in which replicas of the version before come to them, so that neither waits for the
-- other in a circle.
ALTER TABLE holds ADD COLUMN version BIGINT NOT NULL DEFAULT 0; -- with its intents and draws
-- Most holds have no key.
ALTER TABLE holds DROP CONSTRAINT holds_idempotency_key_key;
CREATE UNIQUE INDEX holds_by_key ON holds (idempotency_key) WHERE idempotency_key IS NOT NULL;
ALTER TABLE scopes ADD COLUMN version BIGINT NOT NULL DEFAULT 0; -- of all balances of the scope
-- A replica of an earlier version, which lets no number rise, finds its table gone and keeps nothing more.
ALTER TABLE writers RENAME TO replicas;

CREATE TABLE rules (
    one     SMALLINT PRIMARY KEY CHECK (one = 1),
    version BIGINT   NOT NULL -- of all budgets and top-ups, and of the switch
);
INSERT INTO rules (one, version) VALUES (1, 0);

-- Keeps a batch, in one round trip: true where it did. False, and nothing is changed, where it was decided by what is no
-- longer so. Locks are taken in the order of `batch.rs`; ids and names come sorted. An array is null where it is empty.
CREATE FUNCTION keep_batch(
    replica UUID,
    batch_number BIGINT, -- null where nothing is written
    rules_version BIGINT,
    changes_rules BOOLEAN,
    expired_by BIGINT, -- by then no hold may have expired; null where that does not matter
    new_keys TEXT[], -- no hold may have one of these
    new_draw_holds UUID[], -- no draw of the hold may have the key
    new_draw_keys TEXT[],
    seen_holds UUID[], -- were looked at only
    seen_hold_versions BIGINT[],
    seen_scopes scopes[],
    changed holds[],
    moved scopes[], -- a balance of theirs changes
    opened holds[],
    new_claims claims[],
    known_intents intents[], -- of all these holds
    balance_changes balances[], -- what is added; without a limit where that stays
    new_entries entries[] -- in the order of their places, which they do not have yet
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    touched BIGINT;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1297435203, 1);
    IF NOT EXISTS (SELECT FROM rules WHERE version = rules_version)
        OR EXISTS (SELECT FROM holds WHERE state = 'open' AND ends_at <= expired_by)
    THEN
        RETURN false;
    END IF;
    IF new_keys IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hash) FROM (
            SELECT DISTINCT hashtextextended(key, 1297435203) AS hash FROM unnest(new_keys) AS key ORDER BY hash
        ) AS keys;
        IF EXISTS (SELECT FROM holds WHERE idempotency_key = ANY (new_keys)) THEN
            RETURN false;
        END IF;
    END IF;

    BEGIN
        IF changed IS NOT NULL THEN
            UPDATE holds SET drawn = new.drawn, state = new.state, expires_at = new.expires_at, ends_at = new.ends_at,
                version = holds.version + 1
            FROM unnest(changed) AS new WHERE holds.id = new.id AND holds.version = new.version;
            GET DIAGNOSTICS touched = ROW_COUNT;
            IF touched < cardinality(changed) THEN
                RAISE SQLSTATE 'MB001';
            END IF;
        END IF;
        IF moved IS NOT NULL THEN
            UPDATE scopes SET version = scopes.version + 1
            FROM unnest(moved) AS new WHERE scopes.scope = new.scope AND scopes.version = new.version;
            GET DIAGNOSTICS touched = ROW_COUNT;
            IF touched < cardinality(moved) THEN
                RAISE SQLSTATE 'MB001';
            END IF;
        END IF;
        IF seen_scopes IS NOT NULL AND EXISTS (
            SELECT FROM unnest(seen_scopes) AS seen WHERE NOT EXISTS (
                SELECT FROM scopes WHERE scopes.scope = seen.scope AND scopes.version = seen.version)
        ) THEN
            RAISE SQLSTATE 'MB001';
        END IF;
        IF seen_holds IS NOT NULL AND EXISTS (
            SELECT FROM unnest(seen_holds, seen_hold_versions) AS seen (id, version) WHERE NOT EXISTS (
                SELECT FROM holds WHERE holds.id = seen.id AND holds.version = seen.version)
        ) THEN
            RAISE SQLSTATE 'MB001';
        END IF;
        IF new_draw_keys IS NOT NULL AND EXISTS (
            -- A look-up for each, also where the plan was made when there were no entries.
            SELECT FROM unnest(new_draw_holds, new_draw_keys) AS new (hold, draw_key) WHERE (
                SELECT seq FROM entries WHERE entries.hold = new.hold AND entries.draw_key = new.draw_key) IS NOT NULL
        ) THEN
            RAISE SQLSTATE 'MB001';
        END IF;
    EXCEPTION WHEN SQLSTATE 'MB001' THEN
        RETURN false;
    END;

    IF batch_number IS NULL THEN
        RETURN true;
    END IF;
    UPDATE replicas SET batch = batch_number, used_at = now() WHERE writer = replica AND batch < batch_number;
    IF NOT FOUND THEN
        -- It was given up, and the server comes to it only now; or the replica was forgotten.
        RAISE 'the replica has gone on without this batch' USING ERRCODE = 'MB002';
    END IF;
    IF changes_rules THEN
        UPDATE rules SET version = version + 1;
    END IF;
    IF opened IS NOT NULL THEN
        INSERT INTO holds (id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, state, created_at,
            expires_at, grace, ends_at, degraded)
        SELECT id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, state, created_at,
            expires_at, grace, ends_at, degraded
        FROM unnest(opened);
    END IF;
    IF new_claims IS NOT NULL THEN
        INSERT INTO claims (hold, place, scope, period, spend_limit, ends_at)
        SELECT hold, place, scope, period, spend_limit, ends_at FROM unnest(new_claims);
    END IF;
    IF known_intents IS NOT NULL THEN
        INSERT INTO intents (hold, place, id, item, quantity, unit, amount, state, at, reference, metered, price)
        SELECT hold, place, id, item, quantity, unit, amount, state, at, reference, metered, price
        FROM unnest(known_intents)
        ON CONFLICT (hold, place) DO UPDATE SET state = excluded.state, metered = excluded.metered;
    END IF;
    IF balance_changes IS NOT NULL THEN
        UPDATE balances SET spent = balances.spent + new.spent, held = balances.held + new.held,
            spend_limit = coalesce(new.spend_limit, balances.spend_limit)
        FROM unnest(balance_changes) AS new WHERE balances.scope = new.scope AND balances.period = new.period;
        GET DIAGNOSTICS touched = ROW_COUNT;
        IF touched < cardinality(balance_changes) THEN
            -- Those that were not there begin with their change.
            INSERT INTO balances (scope, period, ends_at, spend_limit, spent, held)
            SELECT scope, period, ends_at, coalesce(spend_limit, 0), spent, held FROM unnest(balance_changes) AS new
            WHERE NOT EXISTS (
                SELECT FROM balances WHERE balances.scope = new.scope AND balances.period = new.period);
        END IF;
    END IF;
    IF new_entries IS NOT NULL THEN
        INSERT INTO entries (at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key, held_change,
            spent_change, counts_at, note, price)
        SELECT at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key, held_change, spent_change,
            counts_at, note, price
        FROM unnest(new_entries);
    END IF;
    RETURN true;
END
$$;
