//! What servers can do wrong: a typed error in bounded time and memory, and no key in any word of it.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_core::{AnalysisId, Retryability, StorageErrorKind, Timestamp, contract::AnalysisResult};
use meterbox_results_store::{
    PageRequest, ResultsError, ResultsErrorKind, ResultsStore, SupabaseAuth, SupabaseResults,
    postgrest::{Credentials, Filter, Postgrest, PostgrestError, PostgrestErrorKind, UserToken, http_client},
};
use meterbox_testkit::{FaultyServer, Manner, ManualClock, TlsCertificate, TlsFront};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};

const KEY: &str = "sb_secret_hunter2hunter2hunter2";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.aHVudGVyMg.hunter2";

fn client(url: &str) -> Postgrest {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Postgrest::builder(http_client().unwrap(), url, Credentials::key(KEY))
        .timeout(Duration::from_secs(10))
        .largest_reply(1 << 20)
        .build()
        .unwrap()
}

/// Reads and writes, with the key and with a user's token: the errors, of which none shows either.
async fn errors_of(url: &str) -> Vec<PostgrestError> {
    let client = client(url);
    let user = UserToken::new(TOKEN);
    let id = Filter::Eq("1".to_owned());
    let things = || client.table("things");
    let errors = vec![
        things().filter("id", &id).fetch::<Value>().await.unwrap_err(),
        things()
            .as_user(Some(&user))
            .fetch_counted::<Value>()
            .await
            .unwrap_err(),
        things().filter("id", &id).delete().await.unwrap_err(),
        client
            .call::<i64>("f", &json!({}), Some(&user))
            .await
            .unwrap_err(),
    ];
    for error in &errors {
        let source = std::error::Error::source(error).map(|source| format!("{source} {source:?}"));
        let said = format!("{error} {error:?} {source:?} {client:?} {user:?}");
        assert!(
            !said.contains("hunter2") && !said.contains("aHVudGVyMg"),
            "{said}"
        );
    }
    errors
}

async fn all_are(kind: PostgrestErrorKind, manner: Manner) {
    let server = FaultyServer::start(manner.clone()).await;
    for error in errors_of(&server.url()).await {
        assert_eq!(error.kind(), kind, "{manner:?}: {error}");
    }
}

const JSON: &str = "200 OK\r\ncontent-type: application/json";

#[tokio::test]
async fn each_fault_has_its_type() {
    use PostgrestErrorKind as Kind;
    let half = "[{\"id\":";
    for (kind, manner) in [
        (Kind::Broken, Manner::Closes),
        (Kind::Broken, Manner::cuts_body(JSON, half)),
        (Kind::Broken, Manner::Says(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
        (
            Kind::BadReply,
            Manner::replies("200 OK\r\ncontent-type: text/html", "<html>"),
        ),
        (Kind::BadReply, Manner::replies(JSON, b"[\"\xff\xfe\"]")),
        (Kind::BadReply, Manner::replies(JSON, half)),
        (Kind::BadReply, Manner::replies(JSON, "{\"no\": \"list\"}")),
        (Kind::BadReply, Manner::answers("204 No Content")),
        (Kind::TooLarge, Manner::HugeBody),
        (Kind::TooLarge, Manner::Floods),
        (Kind::Refused, Manner::replies("400 Bad Request", b"\xff\xfe")),
        (
            Kind::Busy,
            Manner::replies("502 Bad Gateway", "<html>nginx</html>"),
        ),
    ] {
        // What counts rows says that before it is read.
        let server = FaultyServer::start(manner.clone()).await;
        for error in errors_of(&server.url()).await {
            let counts = error.to_string().contains("how many rows");
            assert!(error.kind() == kind || counts, "{manner:?}: {error}");
        }
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_safe_to_repeat() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for error in errors_of(&format!("http://{closed}")).await {
        assert_eq!(error.kind(), PostgrestErrorKind::Unreachable, "{error}");
        assert_eq!(error.retryability(), Retryability::Safe);
    }
}

#[tokio::test]
async fn what_is_no_tls_is_unreachable() {
    let server = FaultyServer::start(Manner::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    for error in errors_of(&server.url().replace("http://", "https://")).await {
        assert_eq!(error.kind(), PostgrestErrorKind::Unreachable, "{error}");
    }
    for request in server.heard() {
        assert!(!request.contains("hunter2"), "before TLS nothing is said");
    }
}

#[tokio::test]
async fn a_server_that_cannot_show_who_it_is_gets_no_key() {
    let plain = FaultyServer::start(Manner::replies(JSON, "[]")).await;
    for certificate in [
        TlsCertificate::SelfSigned,
        TlsCertificate::Expired,
        TlsCertificate::OfAnotherHost,
        TlsCertificate::OfAnotherAuthority,
    ] {
        let front = TlsFront::start(&plain.url(), certificate).await;
        for error in errors_of(&front.url()).await {
            assert_eq!(error.kind(), PostgrestErrorKind::Unreachable, "{error}");
        }
        assert_eq!(front.accepted(), 0, "{certificate:?}");
    }
    assert_eq!(plain.heard(), [""; 0]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = FaultyServer::start(Manner::replies(JSON, "[]")).await;
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let redirect = format!("{status}\r\nlocation: {}/", elsewhere.url());
        all_are(PostgrestErrorKind::BadReply, Manner::answers(&redirect)).await;
    }
    assert_eq!(elsewhere.heard(), [""; 0]);
}

/// A proxy that says back what it was sent.
#[tokio::test]
async fn keys_that_a_server_says_back_are_not_shown() {
    let said = json!({
        "message": format!("bad key {KEY} for Bearer {TOKEN}"),
        "code": "PGRST301",
        "details": format!("{TOKEN}"),
        "hint": format!("use another than {KEY}"),
    });
    let manner = Manner::replies(
        "401 Unauthorized\r\ncontent-type: application/json",
        said.to_string(),
    );
    let server = FaultyServer::start(manner).await;
    let client = client(&server.url());
    let user = UserToken::new(TOKEN);
    let things = client.table("things").as_user(Some(&user));
    let error = things.fetch::<Value>().await.unwrap_err();
    assert_eq!(error.kind(), PostgrestErrorKind::Forbidden);
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
    // The key itself goes where it belongs, and the user's token in the place of it.
    let heard = &server.heard()[0];
    assert!(heard.contains(&format!("apikey: {KEY}")), "{heard}");
    assert!(
        heard.contains(&format!("authorization: Bearer {TOKEN}")),
        "{heard}"
    );
}

/// Time is virtual: it passes when nothing else happens.
#[tokio::test(start_paused = true)]
#[expect(
    clippy::disallowed_methods,
    reason = "the time of a paused runtime is virtual"
)]
async fn a_server_that_hangs_or_drips_is_left_in_time() {
    for manner in [Manner::Hangs, Manner::Drips, Manner::DripsBody] {
        let server = FaultyServer::start(manner.clone()).await;
        let begun = Instant::now();
        let errors = errors_of(&server.url()).await;
        let limit = Duration::from_secs(10 * errors.len() as u64 + 2);
        assert!(begun.elapsed() <= limit, "{:?}", begun.elapsed());
        for error in errors {
            assert_eq!(error.kind(), PostgrestErrorKind::TimedOut, "{manner:?}: {error}");
            assert_eq!(error.retryability(), Retryability::WithIdempotencyKey);
        }
    }
}

#[tokio::test]
async fn what_a_server_says_reaches_the_store_in_its_words() {
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let result = AnalysisResult::begun(AnalysisId::new(now), "user/ana".parse().unwrap(), now);
    let error_of = async |status: &str, body: Value| {
        let server = FaultyServer::start(Manner::replies(status, body.to_string())).await;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let auth = SupabaseAuth::service(KEY);
        let store =
            SupabaseResults::new(http_client().unwrap(), &server.url(), auth, ManualClock::at(now)).unwrap();
        let error = store.save(&result).await.unwrap_err();
        let shown = format!("{error} {error:?} {store:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        error
    };
    let taken = error_of("409 Conflict", json!({"code": "23505", "message": "m"})).await;
    assert_eq!(taken.kind(), ResultsErrorKind::IdTaken);
    let too_large = error_of("413 Payload Too Large", json!({})).await;
    assert_eq!(too_large.kind(), ResultsErrorKind::Rejected);
    let value = error_of("400 Bad Request", json!({"code": "22021", "message": "m"})).await;
    assert_eq!(value.kind(), ResultsErrorKind::Rejected);
    for (status, body, kind, wish) in [
        (
            "429 Too Many Requests\r\nretry-after: 7",
            json!({}),
            StorageErrorKind::Busy,
            Some(7),
        ),
        (
            "503 Service Unavailable\r\nretry-after: 30",
            json!({"code": "PGRST001"}),
            StorageErrorKind::Busy,
            Some(30),
        ),
        (
            "504 Gateway Timeout",
            json!({"code": "PGRST003"}),
            StorageErrorKind::Busy,
            Some(1),
        ),
        (
            "401 Unauthorized",
            json!({"message": "Invalid API key"}),
            StorageErrorKind::ReadOnly,
            None,
        ),
        (
            "403 Forbidden",
            json!({"code": "42501"}),
            StorageErrorKind::ReadOnly,
            None,
        ),
        (
            "404 Not Found",
            json!({"code": "PGRST205"}),
            StorageErrorKind::Incompatible,
            None,
        ),
        (
            "500 Internal Server Error",
            json!({"code": "XX000"}),
            StorageErrorKind::Unavailable,
            Some(1),
        ),
    ] {
        let ResultsError::Store(error) = error_of(status, body).await else {
            panic!("{status}")
        };
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert_eq!(error.retry_after(), wish.map(Duration::from_secs), "{status}");
    }
}

/// Rows that are too large together come one by one.
#[tokio::test]
async fn a_page_that_is_too_large_is_an_error_only_when_one_row_is() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = FaultyServer::start(Manner::HugeBody).await;
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let store = SupabaseResults::new(
        http_client().unwrap(),
        &server.url(),
        SupabaseAuth::service(KEY),
        ManualClock::at(now),
    )
    .unwrap();
    let ana = "user/ana".parse().unwrap();
    let error = store.page(&ana, PageRequest::newest(40)).await.unwrap_err();
    assert!(error.to_string().contains("67108864 bytes"), "{error}");
    let limits: Vec<String> = server
        .heard()
        .iter()
        .filter_map(|request| {
            let (_, limit) = request.lines().next()?.split_once("limit=")?;
            Some(limit.split([' ', '&']).next()?.to_owned())
        })
        .collect();
    assert_eq!(limits, ["41", "20", "10", "5", "2", "1"]);
}
