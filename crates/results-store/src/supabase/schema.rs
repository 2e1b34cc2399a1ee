//! The SQL a project needs. It is run by its owner, once and after each update: no key of the API may do that.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Who may see what in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenancy {
    /// Each principal its own results, by a user's token or by a service that keeps them apart.
    Apart,
    /// Whoever has the anonymous key sees all. For one tenant.
    Single,
}

/// The numbered steps, from 1; once released they never change.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("../../migrations/supabase/001_results.sql")];
const APART: &str = include_str!("../../migrations/supabase/tenants_apart.sql");
const SINGLE: &str = include_str!("../../migrations/supabase/single_tenant.sql");

const BEGIN: &str = "\
-- Meterbox's results on Supabase: run this in the project's SQL editor, or with psql as the owner. It may be run as often
-- as you like, and brings every earlier version forward.
BEGIN;
SELECT pg_advisory_xact_lock(1297435203, 17);
CREATE TABLE IF NOT EXISTS public.meterbox_migrations (number bigint PRIMARY KEY, checksum text NOT NULL);
";
const END: &str = "
NOTIFY pgrst, 'reload schema';
COMMIT;
";

/// The script that makes a project fit, from nothing or from any earlier version: tables, indexes, row-level security.
pub fn schema_sql(tenancy: Tenancy) -> String {
    script(MIGRATIONS, tenancy)
}

fn script(migrations: &[&str], tenancy: Tenancy) -> String {
    let mut script = BEGIN.to_owned();
    let checksums: Vec<String> = (1..)
        .zip(migrations)
        .map(|(number, sql)| format!("({number}, '{}')", checksum(sql)))
        .collect();
    let known = checksums.join(", ");
    // A string takes what is written.
    let _ = write!(
        script,
        "
DO $meterbox$ BEGIN
    IF EXISTS (
        SELECT FROM public.meterbox_migrations AS done LEFT JOIN (VALUES {known}) AS known (number, checksum)
        USING (number) WHERE done.checksum IS DISTINCT FROM known.checksum
    ) THEN
        RAISE EXCEPTION 'these tables are of another version of Meterbox; use its script';
    END IF;
END $meterbox$;
"
    );
    for (number, sql) in (1..).zip(migrations) {
        let _ = write!(
            script,
            "
DO $meterbox$ BEGIN
IF NOT EXISTS (SELECT FROM public.meterbox_migrations WHERE number = {number}) THEN
EXECUTE $meterbox_step$
{sql}$meterbox_step$;
INSERT INTO public.meterbox_migrations (number, checksum) VALUES ({number}, '{}');
END IF;
END $meterbox$;
",
            checksum(sql)
        );
    }
    script.push('\n');
    script.push_str(match tenancy {
        Tenancy::Apart => APART,
        Tenancy::Single => SINGLE,
    });
    script.push_str(END);
    script
}

pub(super) fn checksum(sql: &str) -> String {
    let digest = Sha256::digest(sql);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use meterbox_testkit::PostgresServer;

    use super::*;

    const LATER: &[&str] = &[
        MIGRATIONS[0],
        "ALTER TABLE public.meterbox_results ADD COLUMN note text; CREATE INDEX later ON public.meterbox_results (note)",
    ];

    #[test]
    fn the_script_runs_again_and_brings_earlier_versions_forward() {
        let Some(server) = PostgresServer::shared() else {
            return;
        };
        let address = server.supabase_project();
        for tenancy in [Tenancy::Apart, Tenancy::Single, Tenancy::Single, Tenancy::Apart] {
            server.sql(&address, &schema_sql(tenancy)).unwrap();
        }
        let row = "INSERT INTO public.meterbox_results VALUES
                   ('user/ana', '01990000-0000-7000-8000-000000000000', 1, 'ok', now(), '{}')";
        server.sql(&address, row).unwrap();
        server.sql(&address, &script(LATER, Tenancy::Apart)).unwrap();
        let kept = "SELECT count(note IS NULL) FROM public.meterbox_results";
        assert_eq!(server.sql(&address, kept).unwrap().trim(), "1");
        // And the script of an older version says that it is one.
        let error = server.sql(&address, &schema_sql(Tenancy::Apart)).unwrap_err();
        assert!(error.contains("another version of Meterbox"), "{error}");
        let changed = "UPDATE public.meterbox_migrations SET checksum = 'x' WHERE number = 1";
        server.sql(&address, changed).unwrap();
        assert!(server.sql(&address, &script(LATER, Tenancy::Apart)).is_err());
    }

    /// Neither table is open to somebody without a key of a service or a user's token.
    #[test]
    fn no_role_of_the_api_may_more_than_it_should() {
        let Some(server) = PostgresServer::shared() else {
            return;
        };
        let address = server.supabase_project();
        server.sql(&address, &schema_sql(Tenancy::Apart)).unwrap();
        let as_role = |role: &str, sql: &str| {
            let claims = r#"{"meterbox_principal": "user/eve"}"#;
            server.sql(
                &address,
                &format!("SET ROLE {role}; SET request.jwt.claims = '{claims}'; {sql}"),
            )
        };
        let insert = |principal: &str| {
            format!(
                "INSERT INTO public.meterbox_results VALUES ('{principal}', gen_random_uuid(), 1, 'ok', now(), '{{}}')"
            )
        };
        as_role("service_role", &insert("user/ana")).unwrap();
        as_role("authenticated", &insert("user/eve")).unwrap();
        let forged = as_role("authenticated", &insert("user/ana")).unwrap_err();
        assert!(forged.contains("row-level security"), "{forged}");
        let count = "SELECT count(*) FROM public.meterbox_results";
        assert_eq!(as_role("authenticated", count).unwrap().trim(), "1");
        assert_eq!(as_role("service_role", count).unwrap().trim(), "2");
        let stolen = "UPDATE public.meterbox_results SET principal = 'user/ana'";
        assert!(as_role("authenticated", stolen).is_err());
        let expire = "SELECT public.meterbox_expire_results(now(), 10)";
        for (role, sql) in [
            ("anon", count),
            ("anon", expire),
            ("authenticated", expire),
            ("authenticated", "TRUNCATE public.meterbox_results"),
            ("anon", "DELETE FROM public.meterbox_migrations"),
            ("service_role", "DELETE FROM public.meterbox_migrations"),
        ] {
            let refused = as_role(role, sql).unwrap_err();
            assert!(refused.contains("permission denied"), "{role}: {sql}: {refused}");
        }
    }
}
