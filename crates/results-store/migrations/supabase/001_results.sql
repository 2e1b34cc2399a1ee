-- One result a row. The document is the result's JSON, of whatever contract version it was written under: as text, so
-- that it comes back to the byte and may name the character NUL, which jsonb does not. `document::json` reads it.
CREATE TABLE public.meterbox_results (
    principal        text        COLLATE "C" NOT NULL,
    id               uuid        NOT NULL,
    contract_version bigint      NOT NULL,
    status           text        NOT NULL,
    created_at       timestamptz NOT NULL,
    document         text        NOT NULL,
    PRIMARY KEY (principal, id)
);
-- An id belongs to one principal.
CREATE UNIQUE INDEX meterbox_results_by_id ON public.meterbox_results (id);
-- Retention looks for the oldest of all principals.
CREATE INDEX meterbox_results_by_age ON public.meterbox_results (created_at);

-- A result that has ended is not replaced by a late duplicate of when it had not.
CREATE FUNCTION public.meterbox_keep_ended() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF OLD.status NOT IN ('queued', 'running') AND NEW.status IN ('queued', 'running') THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER meterbox_keep_ended BEFORE UPDATE ON public.meterbox_results
    FOR EACH ROW EXECUTE FUNCTION public.meterbox_keep_ended();

-- Forgets results created before a time, the oldest first and at most so many, and says how many. What another replica
-- is about to forget is left to it. Runs with the rights of whoever calls it.
CREATE FUNCTION public.meterbox_expire_results(before timestamptz, most bigint) RETURNS bigint
    LANGUAGE sql SET search_path = '' AS $$
    WITH old AS (
        SELECT id FROM public.meterbox_results WHERE created_at < before
        ORDER BY created_at LIMIT most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM public.meterbox_results WHERE id IN (SELECT id FROM old) RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

-- Who sees what. A user's token names the principal; a service sees all; nobody else sees anything.
ALTER TABLE public.meterbox_results ENABLE ROW LEVEL SECURITY;
CREATE POLICY meterbox_own_results ON public.meterbox_results FOR ALL TO authenticated
    USING (principal = (SELECT nullif(current_setting('request.jwt.claims', true), '')::json ->> 'meterbox_principal'))
    WITH CHECK (principal = (SELECT nullif(current_setting('request.jwt.claims', true), '')::json ->> 'meterbox_principal'));
CREATE POLICY meterbox_service ON public.meterbox_results FOR ALL TO service_role USING (true) WITH CHECK (true);

-- Supabase grants everything to everybody by default.
REVOKE ALL ON public.meterbox_results FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.meterbox_results TO authenticated, service_role;
REVOKE ALL ON FUNCTION public.meterbox_expire_results(timestamptz, bigint) FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.meterbox_expire_results(timestamptz, bigint) TO service_role;

-- Which steps were done can be read by all of them, and changed by none.
ALTER TABLE public.meterbox_migrations ENABLE ROW LEVEL SECURITY;
CREATE POLICY meterbox_read_migrations ON public.meterbox_migrations FOR SELECT TO anon, authenticated, service_role
    USING (true);
REVOKE ALL ON public.meterbox_migrations FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.meterbox_migrations TO anon, authenticated, service_role;
