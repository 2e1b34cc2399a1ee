-- A replica remembers between its batches what it has read. These numbers rise with each change, so that it finds out
-- in the very transaction that writes whether what it remembers still holds.
ALTER TABLE scopes ADD COLUMN version BIGINT NOT NULL DEFAULT 0; -- of all balances of the scope
ALTER TABLE holds ADD COLUMN version BIGINT NOT NULL DEFAULT 0; -- with its intents and draws
CREATE TABLE rules (
    one     SMALLINT PRIMARY KEY CHECK (one = 1),
    version BIGINT   NOT NULL -- of all budgets and top-ups, and of the switch
);
INSERT INTO rules (one, version) VALUES (1, 0);

-- A replica of an earlier version, which lets no number rise, finds its table gone and keeps nothing more.
ALTER TABLE writers RENAME TO replicas;

-- Most holds have no key.
ALTER TABLE holds DROP CONSTRAINT holds_idempotency_key_key;
CREATE UNIQUE INDEX holds_by_key ON holds (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Keeps a batch, in one round trip: true where it did. An array is null where it is empty. False, and nothing is changed, where it was decided by what is no
-- longer so. Locks are taken in the order of `batch.rs`; ids and names come sorted.
CREATE FUNCTION keep_batch(
    replica UUID,
    batch_number BIGINT, -- null where nothing is written
    rules_version BIGINT,
    changes_rules BOOLEAN,
    expired_by BIGINT, -- by then no hold may have expired; null where that does not matter
    new_keys TEXT[], -- no hold may have one of these
    new_draw_hold UUID[], -- no draw of the hold may have the key
    new_draw_key TEXT[],
    seen_hold UUID[], -- was looked at only
    seen_hold_version BIGINT[],
    seen_scope TEXT[],
    seen_scope_version BIGINT[],
    changed_id UUID[],
    changed_version BIGINT[],
    changed_drawn BIGINT[],
    changed_state TEXT[],
    changed_expires_at BIGINT[],
    changed_ends_at BIGINT[],
    moved_scope TEXT[], -- one of its balances changes
    moved_version BIGINT[],
    opened_id UUID[],
    opened_scopes TEXT[],
    opened_requested BIGINT[],
    opened_at_least BIGINT[],
    opened_amount BIGINT[],
    opened_drawn BIGINT[],
    opened_purpose TEXT[],
    opened_key TEXT[],
    opened_state TEXT[],
    opened_created_at BIGINT[],
    opened_expires_at BIGINT[],
    opened_grace BIGINT[],
    opened_ends_at BIGINT[],
    opened_degraded BOOLEAN[],
    claim_hold UUID[],
    claim_place SMALLINT[],
    claim_scope TEXT[],
    claim_period TEXT[],
    claim_limit BIGINT[],
    claim_ends_at BIGINT[],
    intent_hold UUID[],
    intent_place INTEGER[],
    intent_id UUID[],
    intent_item TEXT[],
    intent_quantity BIGINT[],
    intent_unit TEXT[],
    intent_amount BIGINT[],
    intent_state TEXT[],
    intent_at BIGINT[],
    intent_reference TEXT[],
    intent_metered BIGINT[],
    intent_price TEXT[],
    balance_scope TEXT[],
    balance_period TEXT[],
    balance_ends_at BIGINT[],
    balance_spent BIGINT[], -- what is added
    balance_held BIGINT[],
    balance_limit BIGINT[], -- null where it stays
    entry_at BIGINT[],
    entry_kind TEXT[],
    entry_hold UUID[],
    entry_scope TEXT[],
    entry_amount BIGINT[],
    entry_item TEXT[],
    entry_quantity BIGINT[],
    entry_unit TEXT[],
    entry_estimated BOOLEAN[],
    entry_draw_key TEXT[],
    entry_held_change BIGINT[],
    entry_spent_change BIGINT[],
    entry_counts_at BIGINT[],
    entry_note TEXT[],
    entry_price TEXT[]
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
    IF cardinality(new_keys) > 0 THEN
        PERFORM pg_advisory_xact_lock(hash) FROM (
            SELECT DISTINCT hashtextextended(key, 1297435203) AS hash FROM unnest(new_keys) AS key ORDER BY hash
        ) AS keys;
        IF EXISTS (SELECT FROM holds WHERE idempotency_key = ANY (new_keys)) THEN
            RETURN false;
        END IF;
    END IF;

    BEGIN
        IF cardinality(changed_id) > 0 THEN
            UPDATE holds SET drawn = new.drawn, state = new.state, expires_at = new.expires_at, ends_at = new.ends_at,
                version = holds.version + 1
            FROM (SELECT unnest(changed_id) AS id, unnest(changed_version) AS version, unnest(changed_drawn) AS drawn,
                unnest(changed_state) AS state, unnest(changed_expires_at) AS expires_at,
                unnest(changed_ends_at) AS ends_at) AS new
            WHERE holds.id = new.id AND holds.version = new.version;
            GET DIAGNOSTICS touched = ROW_COUNT;
            IF touched < cardinality(changed_id) THEN
                RAISE SQLSTATE 'MB001';
            END IF;
        END IF;
        IF cardinality(moved_scope) > 0 THEN
            UPDATE scopes SET version = scopes.version + 1
            FROM (SELECT unnest(moved_scope) AS scope, unnest(moved_version) AS version) AS new
            WHERE scopes.scope = new.scope AND scopes.version = new.version;
            GET DIAGNOSTICS touched = ROW_COUNT;
            IF touched < cardinality(moved_scope) THEN
                RAISE SQLSTATE 'MB001';
            END IF;
        END IF;
        IF cardinality(seen_scope) > 0 THEN
            SELECT count(*) INTO touched
            FROM (SELECT unnest(seen_scope) AS scope, unnest(seen_scope_version) AS version) AS seen
            JOIN scopes ON scopes.scope = seen.scope AND scopes.version = seen.version;
            IF touched < cardinality(seen_scope) THEN
                RAISE SQLSTATE 'MB001';
            END IF;
        END IF;
        IF cardinality(seen_hold) > 0 THEN
            SELECT count(*) INTO touched
            FROM (SELECT unnest(seen_hold) AS id, unnest(seen_hold_version) AS version) AS seen
            JOIN holds ON holds.id = seen.id AND holds.version = seen.version;
            IF touched < cardinality(seen_hold) THEN
                RAISE SQLSTATE 'MB001';
            END IF;
        END IF;
        IF cardinality(new_draw_key) > 0 AND EXISTS (
            SELECT FROM (SELECT unnest(new_draw_hold) AS hold, unnest(new_draw_key) AS draw_key) AS new
            JOIN entries ON entries.hold = new.hold AND entries.draw_key = new.draw_key
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
    IF cardinality(opened_id) > 0 THEN
        INSERT INTO holds (id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, state, created_at,
            expires_at, grace, ends_at, degraded)
        SELECT unnest(opened_id), unnest(opened_scopes), unnest(opened_requested), unnest(opened_at_least),
            unnest(opened_amount), unnest(opened_drawn), unnest(opened_purpose), unnest(opened_key),
            unnest(opened_state), unnest(opened_created_at), unnest(opened_expires_at), unnest(opened_grace),
            unnest(opened_ends_at), unnest(opened_degraded);
    END IF;
    IF cardinality(claim_hold) > 0 THEN
        INSERT INTO claims (hold, place, scope, period, spend_limit, ends_at)
        SELECT unnest(claim_hold), unnest(claim_place), unnest(claim_scope), unnest(claim_period), unnest(claim_limit),
            unnest(claim_ends_at);
    END IF;
    IF cardinality(intent_hold) > 0 THEN
        INSERT INTO intents (hold, place, id, item, quantity, unit, amount, state, at, reference, metered, price)
        SELECT unnest(intent_hold), unnest(intent_place), unnest(intent_id), unnest(intent_item),
            unnest(intent_quantity), unnest(intent_unit), unnest(intent_amount), unnest(intent_state),
            unnest(intent_at), unnest(intent_reference), unnest(intent_metered), unnest(intent_price)
        ON CONFLICT (hold, place) DO UPDATE SET state = excluded.state, metered = excluded.metered;
    END IF;
    IF cardinality(balance_scope) > 0 THEN
        UPDATE balances SET spent = balances.spent + new.spent, held = balances.held + new.held,
            spend_limit = coalesce(new.spend_limit, balances.spend_limit)
        FROM (SELECT unnest(balance_scope) AS scope, unnest(balance_period) AS period, unnest(balance_spent) AS spent,
            unnest(balance_held) AS held, unnest(balance_limit) AS spend_limit) AS new
        WHERE balances.scope = new.scope AND balances.period = new.period;
        GET DIAGNOSTICS touched = ROW_COUNT;
        -- Those that were not there begin with their change.
        IF touched < cardinality(balance_scope) THEN
            INSERT INTO balances (scope, period, ends_at, spend_limit, spent, held)
            SELECT scope, period, ends_at, coalesce(spend_limit, 0), spent, held
            FROM (SELECT unnest(balance_scope) AS scope, unnest(balance_period) AS period,
                unnest(balance_ends_at) AS ends_at, unnest(balance_limit) AS spend_limit,
                unnest(balance_spent) AS spent, unnest(balance_held) AS held) AS new
            WHERE NOT EXISTS (
                SELECT FROM balances WHERE balances.scope = new.scope AND balances.period = new.period);
        END IF;
    END IF;
    IF cardinality(entry_at) > 0 THEN
        -- In this order, by which they get their places.
        INSERT INTO entries (at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key, held_change,
            spent_change, counts_at, note, price)
        SELECT unnest(entry_at), unnest(entry_kind), unnest(entry_hold), unnest(entry_scope), unnest(entry_amount),
            unnest(entry_item), unnest(entry_quantity), unnest(entry_unit), unnest(entry_estimated),
            unnest(entry_draw_key), unnest(entry_held_change), unnest(entry_spent_change), unnest(entry_counts_at),
            unnest(entry_note), unnest(entry_price);
    END IF;
    RETURN true;
END
$$;
