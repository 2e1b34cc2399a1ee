//! A gigabyte that nobody asked for is not kept. A test program of its own: what it measures is its process's memory.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_sandbox_client::e2b::{
    E2bClient, E2bErrorKind, ExecutionRequest, NewSandbox, SandboxAccess, http_client,
};
use meterbox_testkit::{E2B_KEY, E2bDouble, E2bFault};

const MOST: u64 = 100 << 20;

/// The most memory this process ever had.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_is_cut_at_its_limit_wherever_it_comes_from() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let double = E2bDouble::start().await;
    let client = E2bClient::builder(http_client().unwrap(), E2B_KEY)
        .api_url(double.url())
        .sandbox_url(double.url())
        .request_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let sandbox = client.create(&NewSandbox::new("base")).await.unwrap();
    let before = peak();
    for (request, call) in [
        ("POST /v2/sandboxes", Call::Create),
        ("GET /files", Call::Read),
        ("GET /files", Call::Download),
        ("POST /filesystem.Filesystem", Call::List),
        ("POST /execute", Call::Execute),
    ] {
        double.fail_next(request, E2bFault::HugeBody);
        let kind = call.make(&client, &sandbox).await;
        assert_eq!(kind, E2bErrorKind::TooLarge, "{request}");
    }
    let more = peak() - before;
    assert!(more < MOST, "{} MiB", more >> 20);
}

#[derive(Clone, Copy)]
enum Call {
    Create,
    Read,
    Download,
    List,
    Execute,
}

impl Call {
    async fn make(self, client: &E2bClient, sandbox: &SandboxAccess) -> E2bErrorKind {
        let error = match self {
            Self::Create => client.create(&NewSandbox::new("base")).await.unwrap_err(),
            Self::Read => client
                .read_file(sandbox, "/tmp/x", "user", 1 << 20)
                .await
                .unwrap_err(),
            Self::Download => {
                let folder = tempfile::tempdir().unwrap();
                let to = folder.path().join("x");
                let error = client
                    .download_file(sandbox, "/tmp/x", "user", &to, 1 << 20)
                    .await;
                assert!(!to.exists());
                error.unwrap_err()
            }
            Self::List => client.list_folder(sandbox, "/tmp", "user").await.unwrap_err(),
            Self::Execute => {
                let mut execution = client
                    .execute(sandbox, &ExecutionRequest::new("1"))
                    .await
                    .unwrap();
                loop {
                    if let Err(error) = execution.next().await {
                        break error;
                    }
                }
            }
        };
        error.kind()
    }
}
