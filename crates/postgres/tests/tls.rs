//! TLS to a real server: only with a certificate that is trusted, and never less than was asked for.

use meterbox_core::StorageErrorKind;
use meterbox_postgres::Server;
use meterbox_testkit::PostgresServer;

/// What the server says of the connection, or why there is none.
async fn encrypted(url: &str) -> Result<bool, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Server::from_url_with_tls(url, "the test").map_err(|error| error.to_string())?;
    let pool = server.pool(1, "").map_err(|error| error.to_string())?;
    let asked = async {
        let client = pool.connection().await?;
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        Ok(client.query_one(sql, &[]).await?.try_get(0)?)
    };
    asked.await.map_err(|fault| {
        let error = pool.explain(fault);
        assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
        error.to_string()
    })
}

#[tokio::test]
async fn a_certificate_is_checked_and_a_connection_is_never_less_than_asked_for() {
    let Some(server) = PostgresServer::with_tls_or_skip() else {
        return;
    };
    let (url, certificate) = server.tls_address(&server.database());
    let root = format!("sslrootcert={}", certificate.display());
    for mode in ["require", "verify-ca", "verify-full", "prefer"] {
        let trusted = encrypted(&format!("{url}?sslmode={mode}&{root}")).await;
        assert_eq!(trusted, Ok(true), "{mode}");
        let untrusted = encrypted(&format!("{url}?sslmode={mode}")).await.unwrap_err();
        assert!(untrusted.contains("certificate"), "{mode}: {untrusted}");
    }
    // This server lets nobody in without; and a missing file is named.
    let plain = encrypted(&format!("{url}?sslmode=disable")).await.unwrap_err();
    assert!(plain.contains("no encryption"), "{plain}");
    let missing = encrypted(&format!("{url}?sslmode=require&sslrootcert=/no/such"))
        .await
        .unwrap_err();
    assert!(missing.contains("/no/such"), "{missing}");
}
