-- Whoever has the project's anonymous key may read and change every result. For one tenant whose key stays on a server.
DROP POLICY IF EXISTS meterbox_single_tenant ON public.meterbox_results;
CREATE POLICY meterbox_single_tenant ON public.meterbox_results FOR ALL TO anon USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.meterbox_results TO anon;
GRANT EXECUTE ON FUNCTION public.meterbox_expire_results(timestamptz, bigint) TO anon;
