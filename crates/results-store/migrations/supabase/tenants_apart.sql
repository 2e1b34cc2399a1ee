-- The anonymous key alone opens nothing, also where it did.
DROP POLICY IF EXISTS meterbox_single_tenant ON public.meterbox_results;
REVOKE ALL ON public.meterbox_results FROM anon;
REVOKE ALL ON FUNCTION public.meterbox_expire_results(timestamptz, bigint) FROM anon;
