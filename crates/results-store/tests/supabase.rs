//! Results in Supabase, held against an independent server that speaks PostgREST's protocol, over a real Postgres with
//! the SQL that is shipped and real tokens: in each of the three ways a project can be opened.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_core::{AnalysisId, Scope, StorageErrorKind, Timestamp, contract::AnalysisResult};
use meterbox_results_store::{
    PageRequest, ResultsError, ResultsStore, SupabaseAuth, SupabaseResults,
    postgrest::{
        Credentials, Filter, OnConflict, Order, Postgrest, PostgrestErrorKind, UserToken, http_client,
    },
    results_conformance,
    supabase::{Tenancy, schema_sql},
};
use meterbox_testkit::{ManualClock, PostgresServer, PostgrestServer};
use serde_json::{Value, json};

const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";

fn now() -> Timestamp {
    // Far from now, so that the server, which has the real time, takes tokens for good.
    "2126-11-23T12:00:00Z".parse().unwrap()
}

fn key(role: &str) -> String {
    let claims = json!({ "role": role });
    let token = UserToken::sign(
        claims.as_object().unwrap(),
        SECRET.as_bytes(),
        now(),
        Duration::ZERO,
    );
    token.expose().to_owned()
}

/// A project, its API and its database.
struct Project {
    server: PostgrestServer,
    postgres: &'static PostgresServer,
    database: String,
}

impl Project {
    fn new(tenancy: Tenancy) -> Option<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let postgres = PostgresServer::shared()?;
        let database = postgres.supabase_project();
        postgres.sql(&database, &schema_sql(tenancy)).unwrap();
        let server = PostgrestServer::start_or_skip(&database, SECRET)?;
        Some(Self {
            server,
            postgres,
            database,
        })
    }

    fn store(&self, auth: SupabaseAuth) -> SupabaseResults {
        let http = http_client().unwrap();
        SupabaseResults::new(http, &self.server.project_url(), auth, ManualClock::at(now())).unwrap()
    }

    fn client(&self, role: &str) -> Postgrest {
        let credentials = Credentials::key(key(role));
        Postgrest::builder(http_client().unwrap(), self.server.url(), credentials)
            .build()
            .unwrap()
    }
}

fn anonymous() -> SupabaseAuth {
    SupabaseAuth::anonymous(key("anon"))
}

fn service() -> SupabaseAuth {
    SupabaseAuth::service(key("service_role"))
}

fn users() -> SupabaseAuth {
    SupabaseAuth::users(key("anon"), SECRET)
}

/// The project lives as long as the process: stores outlive the function that makes them.
fn fresh(tenancy: Tenancy, auth: SupabaseAuth) -> Option<SupabaseResults> {
    let project = Box::leak(Box::new(Project::new(tenancy)?));
    Some(project.store(auth))
}

results_conformance!(
    anonymous_key,
    maybe || async { fresh(Tenancy::Single, anonymous()) }
);
results_conformance!(
    service_role_key,
    maybe || async { fresh(Tenancy::Apart, service()) }
);
results_conformance!(tokens_of_users, maybe || async { fresh(Tenancy::Apart, users()) });

fn result(of: &str, second: u64) -> AnalysisResult {
    let start: Timestamp = "2026-11-23T12:00:00.123456Z".parse().unwrap();
    let at = start.saturating_add(Duration::from_secs(second));
    AnalysisResult::begun(AnalysisId::new(at), of.parse().unwrap(), at)
}

fn kind(error: ResultsError) -> StorageErrorKind {
    match error {
        ResultsError::Store(error) => error.kind(),
        error => panic!("{error}"),
    }
}

/// Not only the store's own filter: row-level security, with a token of one's own and without any filter.
#[tokio::test]
async fn a_tenants_token_opens_nothing_of_anothers() {
    let Some(project) = Project::new(Tenancy::Apart) else {
        return;
    };
    let store = project.store(users());
    let anas = result("user/ana", 0);
    store.save(&anas).await.unwrap();
    store.save(&result("user/eve", 0)).await.unwrap();

    let client = project.client("anon");
    let claims = json!({ "role": "authenticated", "meterbox_principal": "user/eve" });
    let sign = |secret: &str| {
        let life = Duration::from_secs(300);
        UserToken::sign(claims.as_object().unwrap(), secret.as_bytes(), now(), life)
    };
    let eve = sign(SECRET);
    let all = || client.table("meterbox_results").as_user(Some(&eve));
    let seen: Vec<Value> = all().select(&["principal"]).fetch().await.unwrap();
    assert_eq!(seen, [json!({ "principal": "user/eve" })]);
    let of_ana = Filter::Eq("user/ana".to_owned());
    assert_eq!(all().filter("principal", &of_ana).delete().await.unwrap(), 0);
    let forged = json!({
        "principal": "user/ana", "id": AnalysisId::new(now()), "contract_version": 1, "status": "ok",
        "created_at": now(), "document": "{}",
    });
    let refused = all().insert(&[forged]).await.unwrap_err();
    assert_eq!(refused.kind(), PostgrestErrorKind::Forbidden, "{refused}");
    assert_eq!(refused.refusal().unwrap().sqlstate(), Some("42501"));
    // Somebody who is signed in elsewhere in the project, a stranger's signature, and nobody at all.
    let stranger = sign("another-secret-that-is-not-this-projects-one");
    let error = client
        .table("meterbox_results")
        .as_user(Some(&stranger))
        .fetch::<Value>()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), PostgrestErrorKind::Forbidden, "{error}");
    let signed_in = json!({ "role": "authenticated", "sub": "user/ana" });
    let signed_in = UserToken::sign(
        signed_in.as_object().unwrap(),
        SECRET.as_bytes(),
        now(),
        Duration::from_secs(300),
    );
    let seen: Vec<Value> = client
        .table("meterbox_results")
        .as_user(Some(&signed_in))
        .fetch()
        .await
        .unwrap();
    assert_eq!(seen, [json!(null); 0]);
    let error = client
        .table("meterbox_results")
        .fetch::<Value>()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), PostgrestErrorKind::Forbidden, "{error}");
    assert_eq!(store.find(&anas.principal, anas.id).await.unwrap(), Some(anas));
}

#[tokio::test]
async fn what_a_project_lacks_is_said_with_what_to_do() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Tables for tenants apart, and the anonymous key alone.
    let Some(project) = Project::new(Tenancy::Apart) else {
        return;
    };
    let store = project.store(anonymous());
    assert_eq!(kind(store.check().await.unwrap_err()), StorageErrorKind::ReadOnly);
    let error = store.save(&result("user/ana", 0)).await.unwrap_err();
    assert!(error.to_string().contains("meterbox results schema"), "{error}");
    // A key of another project.
    let wrong = SupabaseAuth::users(key("anon"), "another-secret-that-is-not-this-projects-one");
    let error = project
        .store(wrong)
        .save(&result("user/ana", 0))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("check the Supabase keys"), "{error}");
    // Another version's tables.
    let sql = |sql: &str| project.postgres.sql(&project.database, sql).unwrap();
    sql("INSERT INTO public.meterbox_migrations VALUES (99, 'later')");
    let error = project.store(service()).check().await.unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
    sql("DELETE FROM public.meterbox_migrations");
    let error = project.store(service()).check().await.unwrap_err();
    assert!(error.to_string().contains("earlier version"), "{error}");

    // No tables at all.
    let postgres = project.postgres;
    let empty = postgres.supabase_project();
    let Some(server) = PostgrestServer::start_or_skip(&empty, SECRET) else {
        return;
    };
    let http = http_client().unwrap();
    let store = SupabaseResults::at(http, &server.url(), service(), ManualClock::at(now())).unwrap();
    let error = store.check().await.unwrap_err();
    assert!(error.to_string().contains("meterbox results schema"), "{error}");
    assert_eq!(kind(error), StorageErrorKind::Incompatible);
}

/// A project may be set to give few rows at a time.
#[tokio::test]
async fn a_page_is_complete_whatever_a_project_gives_at_a_time() {
    let Some(postgres) = PostgresServer::shared() else {
        return;
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let database = postgres.supabase_project();
    postgres.sql(&database, &schema_sql(Tenancy::Apart)).unwrap();
    let Some(server) = PostgrestServer::with_max_rows_or_skip(&database, SECRET, 2) else {
        return;
    };
    let http = http_client().unwrap();
    let store = SupabaseResults::at(http, &server.url(), users(), ManualClock::at(now())).unwrap();
    for second in 0..7 {
        store.save(&result("user/ana", second)).await.unwrap();
    }
    let ana: Scope = "user/ana".parse().unwrap();
    let page = store.page(&ana, PageRequest::newest(100)).await.unwrap();
    assert_eq!((page.results.len(), page.next), (7, None));
    let page = store.page(&ana, PageRequest::newest(3)).await.unwrap();
    assert_eq!(page.results.len(), 3);
    assert_eq!(page.next, Some(page.results[2].id));
}

#[tokio::test]
async fn two_replicas_write_and_forget_together() {
    let Some(project) = Project::new(Tenancy::Apart) else {
        return;
    };
    let (one, two) = (project.store(service()), project.store(users()));
    let ana: Scope = "user/ana".parse().unwrap();
    for second in 0..20 {
        let result = result("user/ana", second);
        let (first, other) = tokio::join!(one.save(&result), two.save(&result));
        first.and(other).unwrap();
    }
    let page = one.page(&ana, PageRequest::newest(100)).await.unwrap();
    assert_eq!(page.results.len(), 20);
    let (first, second) = tokio::join!(one.expire(now(), 100), two.expire(now(), 100));
    assert_eq!(first.unwrap() + second.unwrap(), 20, "each is forgotten once");
}

#[tokio::test]
async fn the_client_does_what_postgrest_can() {
    let Some(postgres) = PostgresServer::shared() else {
        return;
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let database = postgres.supabase_project();
    let sql = "CREATE TABLE things (name text PRIMARY KEY, size bigint UNIQUE CHECK (size >= 0), note text);
               CREATE FUNCTION sum_of(one bigint, two bigint) RETURNS bigint LANGUAGE sql AS 'SELECT one + two'";
    postgres.sql(&database, sql).unwrap();
    let Some(server) = PostgrestServer::start_or_skip(&database, SECRET) else {
        return;
    };
    let client = Postgrest::builder(
        http_client().unwrap(),
        server.url(),
        Credentials::key(key("service_role")),
    )
    .build()
    .unwrap();
    let things = || client.table("things");
    let row = |name: &str, size: i64| json!({ "name": name, "size": size });
    let names = [
        "plain",
        "a,b",
        "a)",
        "(",
        "say \"hi\"",
        "back\\slash",
        "ü 💰&=+%",
        " edge ",
        "",
    ];
    let rows: Vec<Value> = (1..).zip(names).map(|(size, name)| row(name, size)).collect();
    things().insert(&rows).await.unwrap();

    // Each value finds itself and nothing else, alone and in a list.
    for name in names {
        for filter in [
            Filter::Eq(name.to_owned()),
            Filter::In(vec![name.to_owned(), "nobody".to_owned()]),
        ] {
            let found: Vec<Value> = things()
                .select(&["name"])
                .filter("name", &filter)
                .fetch()
                .await
                .unwrap();
            assert_eq!(found, [json!({ "name": name })], "{filter:?}");
        }
    }
    let counted = things()
        .select(&["size"])
        .order("size", Order::Descending)
        .limit(2)
        .offset(1)
        .fetch_counted::<Value>()
        .await
        .unwrap();
    assert_eq!(
        (counted.total, counted.rows),
        (9, vec![json!({ "size": 8 }), json!({ "size": 7 })])
    );
    let nothing = things().filter("size", &Filter::Gt("100".into()));
    assert_eq!(nothing.fetch_counted::<Value>().await.unwrap().total, 0);
    let between = things()
        .filter("size", &Filter::Gte("2".into()))
        .filter("size", &Filter::Lt("4".into()))
        .filter("note", &Filter::IsNull);
    assert_eq!(between.fetch::<Value>().await.unwrap().len(), 2);

    let conflict = things().insert(&[row("plain", 50)]).await.unwrap_err();
    assert_eq!(conflict.kind(), PostgrestErrorKind::Conflict, "{conflict}");
    assert_eq!(conflict.refusal().unwrap().sqlstate(), Some("23505"));
    let rows = [row("plain", 50), row("new", 51)];
    things()
        .upsert(&rows, &["name"], OnConflict::Ignore)
        .await
        .unwrap();
    let size = |rows: Vec<Value>| rows[0]["size"].as_i64();
    let plain = || things().filter("name", &Filter::Eq("plain".into()));
    assert_eq!(size(plain().fetch().await.unwrap()), Some(1));
    things()
        .upsert(&rows, &["name"], OnConflict::Merge)
        .await
        .unwrap();
    assert_eq!(size(plain().fetch().await.unwrap()), Some(50));
    // By another key than the one that was named.
    let other = things()
        .upsert(&[row("third", 50)], &["name"], OnConflict::Merge)
        .await;
    assert_eq!(other.unwrap_err().kind(), PostgrestErrorKind::Conflict);

    let check = things().insert(&[row("negative", -1)]).await.unwrap_err();
    assert_eq!(check.refusal().unwrap().sqlstate(), Some("23514"), "{check}");
    let sum: i64 = client
        .call("sum_of", &json!({ "one": 40, "two": 2 }), None)
        .await
        .unwrap();
    assert_eq!(sum, 42);
    let missing = client.call::<i64>("no_such", &json!({}), None).await.unwrap_err();
    assert_eq!(missing.kind(), PostgrestErrorKind::Missing, "{missing}");
    let missing = client.table("no_such").fetch::<Value>().await.unwrap_err();
    assert_eq!(missing.kind(), PostgrestErrorKind::Missing, "{missing}");
    let big = Filter::Gt("7".into());
    assert_eq!(things().filter("size", &big).delete().await.unwrap(), 4);
    assert!(things().delete().await.is_err(), "never all of them");
    assert_eq!(things().fetch::<Value>().await.unwrap().len(), 6);
}
