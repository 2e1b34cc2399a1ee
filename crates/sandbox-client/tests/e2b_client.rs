//! The E2B client against a double that runs programs for real and fails on command.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{collections::BTreeMap, time::Duration};

use meterbox_sandbox_client::e2b::{
    Command, E2bClient, E2bError, E2bErrorKind, FileKind, NewSandbox, ProcessEvent, SandboxAccess, Signal,
    http_client,
};
use meterbox_testkit::{E2B_KEY, E2bDouble, E2bFault};

fn client_with(double: &E2bDouble, key: &str) -> E2bClient {
    // An error means that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    E2bClient::builder(http_client().unwrap(), key)
        .api_url(double.url())
        .sandbox_url(double.url())
        .request_timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

fn new(key: &str) -> NewSandbox {
    NewSandbox {
        idempotency_key: Some(key.to_owned()),
        metadata: BTreeMap::from([("tenant".to_owned(), "acme & sons".to_owned())]),
        ..NewSandbox::new("code-interpreter-v1")
    }
}

async fn opened(double: &E2bDouble) -> (E2bClient, SandboxAccess) {
    let client = client_with(double, E2B_KEY);
    let sandbox = client.create(&new("one")).await.unwrap();
    client.wait_until_ready(&sandbox).await.unwrap();
    (client, sandbox)
}

#[tokio::test]
async fn a_sandbox_is_made_found_and_ended() {
    let double = E2bDouble::start().await;
    let (client, sandbox) = opened(&double).await;
    let detail = client.get(&sandbox.id).await.unwrap();
    assert_eq!((detail.cpu_count, detail.memory_mib), (2, 2048));
    for number in 0..4 {
        client.create(&new(&format!("more-{number}"))).await.unwrap();
    }
    let of = |tenant: &str| BTreeMap::from([("tenant".to_owned(), tenant.to_owned())]);
    // Over several pages.
    assert_eq!(client.list(&of("acme & sons")).await.unwrap().len(), 5);
    assert_eq!(client.list(&of("globex")).await.unwrap(), []);
    client
        .set_timeout(&sandbox.id, Duration::from_secs(3_600))
        .await
        .unwrap();
    let later = client.get(&sandbox.id).await.unwrap();
    assert!(later.end_at > detail.end_at);
    assert_eq!(client.metrics(&sandbox.id).await.unwrap()[0].cpu_count, 2);
    let again = client
        .connect(&sandbox.id, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(again.id, sandbox.id);
    assert!(client.kill(&sandbox.id).await.unwrap());
    assert!(!client.kill(&sandbox.id).await.unwrap());
    let gone = client.get(&sandbox.id).await.unwrap_err();
    assert_eq!(gone.kind(), E2bErrorKind::NotFound);
}

#[tokio::test]
async fn a_lost_reply_makes_no_second_sandbox() {
    let double = E2bDouble::start().await;
    let client = client_with(&double, E2B_KEY);
    double.fail_next("POST /v2/sandboxes", E2bFault::LostReply);
    client.create(&new("once")).await.unwrap();
    assert_eq!(double.running().len(), 1);
    let mut other = new("once");
    other.template = "base".to_owned();
    let error = client.create(&other).await.unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::Rejected, "{error}");
    // Without a key nobody knows, so nobody tries again.
    double.fail_next("POST /v2/sandboxes", E2bFault::LostReply);
    let keyless = NewSandbox::new("base");
    let error = client.create(&keyless).await.unwrap_err();
    assert!(
        matches!(error, E2bError::Broken { .. } | E2bError::BadReply { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_older_server_is_spoken_to_in_the_older_form() {
    let double = E2bDouble::start().await;
    double.has_only_v1();
    let (client, sandbox) = opened(&double).await;
    client
        .connect(&sandbox.id, Duration::from_secs(60))
        .await
        .unwrap();
    client.create(&new("two")).await.unwrap();
    let creates: Vec<String> = double.requests();
    let v2 = creates
        .iter()
        .filter(|line| *line == "POST /v2/sandboxes")
        .count();
    assert_eq!(v2, 1, "it is asked once: {creates:?}");
    // It promises nothing of keys, so that it is not asked again for what it may have done.
    double.fail_next("POST /sandboxes", E2bFault::LostReply);
    let error = client.create(&new("three")).await.unwrap_err();
    assert!(
        matches!(error.kind(), E2bErrorKind::Broken | E2bErrorKind::BadReply),
        "{error}"
    );
    let gateways = |status| E2bFault::Status(status, Vec::new(), "<html>a gateway</html>".to_owned());
    for status in [502, 504] {
        let before = double.requests().len();
        double.fail_next("POST /sandboxes", gateways(status));
        let error = client.create(&new("four")).await.unwrap_err();
        assert_eq!(error.kind(), E2bErrorKind::Server, "{error}");
        assert_eq!(double.requests().len(), before + 1, "it is asked once");
    }
    let unknown = client
        .create(&NewSandbox::new("no-such-template"))
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), E2bErrorKind::NotFound);
}

#[tokio::test]
async fn files_go_in_and_come_out_as_they_are() {
    let double = E2bDouble::start().await;
    let (client, sandbox) = opened(&double).await;
    let bytes: Vec<u8> = (0..=255).collect();
    client
        .write_file(&sandbox, "/data/a b/ü.bin", "root", bytes.clone())
        .await
        .unwrap();
    assert_eq!(
        client
            .read_file(&sandbox, "/data/a b/ü.bin", "root", 256)
            .await
            .unwrap(),
        bytes
    );
    let error = client
        .read_file(&sandbox, "/data/a b/ü.bin", "root", 255)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::TooLarge);
    let folder = tempfile::tempdir().unwrap();
    let (here, back) = (folder.path().join("here"), folder.path().join("back"));
    std::fs::write(&here, vec![7; 3 << 20]).unwrap();
    let minute = Duration::from_secs(60);
    client
        .upload_file(&sandbox, "notes.bin", "user", &here, minute)
        .await
        .unwrap();
    let size = client
        .download_file(&sandbox, "/home/user/notes.bin", "user", &back, 4 << 20)
        .await;
    assert_eq!(size.unwrap(), 3 << 20);
    let third = folder.path().join("third");
    let error = client
        .download_file(&sandbox, "notes.bin", "user", &third, 10)
        .await
        .unwrap_err();
    assert!(error.kind() == E2bErrorKind::TooLarge && !third.exists());
    let listed = client.list_folder(&sandbox, "/home/user", "user").await.unwrap();
    assert_eq!(
        (listed[0].name.as_str(), listed[0].kind, listed[0].size),
        ("notes.bin", FileKind::File, 3 << 20)
    );
    for path in ["/data/nothing", "/data/a b"] {
        let error = client.read_file(&sandbox, path, "root", 10).await.unwrap_err();
        assert!(
            matches!(error.kind(), E2bErrorKind::NotFound | E2bErrorKind::Rejected),
            "{error}"
        );
    }
    let error = client
        .list_folder(&sandbox, "/nowhere", "user")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::NotFound);
}

async fn events(client: &E2bClient, sandbox: &SandboxAccess, command: &Command) -> Vec<ProcessEvent> {
    let mut process = client.start(sandbox, command).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = process.next().await.unwrap() {
        events.push(event);
    }
    events
}

#[tokio::test]
async fn processes_run_say_what_they_do_and_end() {
    let double = E2bDouble::start().await;
    let (client, sandbox) = opened(&double).await;
    let command = Command::new("sh", ["-c", "echo out; echo err >&2; exit 3"]);
    let seen = events(&client, &sandbox, &command).await;
    assert!(matches!(seen[0], ProcessEvent::Started { .. }));
    assert!(seen.contains(&ProcessEvent::Stdout(b"out\n".to_vec())));
    assert!(seen.contains(&ProcessEvent::Stderr(b"err\n".to_vec())));
    let Some(ProcessEvent::Ended(end)) = seen.last() else {
        panic!("{seen:?}")
    };
    assert_eq!((end.exit_code, end.exited), (3, true));
    // Zero is left out on the wire.
    let seen = events(&client, &sandbox, &Command::new("true", [""; 0])).await;
    assert!(matches!(seen.last(), Some(ProcessEvent::Ended(end)) if end.exit_code == 0 && end.exited));

    let mut process = client
        .start(&sandbox, &Command::new("sleep", ["60"]))
        .await
        .unwrap();
    let Some(ProcessEvent::Started { pid }) = process.next().await.unwrap() else {
        panic!("it starts")
    };
    client.signal(&sandbox, pid, Signal::Kill, None).await.unwrap();
    assert!(matches!(process.next().await.unwrap(), Some(ProcessEvent::Ended(end)) if !end.exited));
    let error = client
        .signal(&sandbox, pid, Signal::Kill, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::NotFound);
    let mut long = Command::new("true", [""; 0]);
    long.limit = Duration::MAX;
    assert_eq!(events(&client, &sandbox, &long).await.len(), 2);
    let mut short = Command::new("sleep", ["60"]);
    short.limit = Duration::from_millis(200);
    let mut process = client.start(&sandbox, &short).await.unwrap();
    process.next().await.unwrap();
    assert_eq!(
        process.next().await.unwrap_err().kind(),
        E2bErrorKind::DeadlinePassed
    );
}

/// Every fault gives a typed error, in bounded time and memory.
#[tokio::test]
async fn faults_are_typed_and_bounded() {
    let double = E2bDouble::start().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = E2bClient::builder(http_client().unwrap(), E2B_KEY)
        .api_url(double.url())
        .sandbox_url(double.url())
        .request_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    let status = |status, body: &str| E2bFault::Status(status, Vec::new(), body.to_owned());
    let refused = |status_code| status(status_code, r#"{"code": 1, "message": "as ordered"}"#);
    for (fault, kind) in [
        (refused(400), E2bErrorKind::Rejected),
        (refused(403), E2bErrorKind::Forbidden),
        (refused(409), E2bErrorKind::Conflict),
        (refused(500), E2bErrorKind::Server),
        (status(500, "<html>an edge</html>"), E2bErrorKind::Server),
        (E2bFault::Junk, E2bErrorKind::BadReply),
        (
            E2bFault::Redirect("http://127.0.0.1:9/".to_owned()),
            E2bErrorKind::BadReply,
        ),
        (E2bFault::HugeBody, E2bErrorKind::TooLarge),
        (E2bFault::Drip, E2bErrorKind::DeadlinePassed),
        (E2bFault::Hang, E2bErrorKind::DeadlinePassed),
        (E2bFault::CutBody, E2bErrorKind::Broken),
    ] {
        double.fail_next("POST /v2/sandboxes", fault.clone());
        let error = client.create(&NewSandbox::new("base")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
    }
    // Said to be worth another try, and then it works.
    let busy = E2bFault::Status(429, vec![("retry-after", "0".to_owned())], "slow down".to_owned());
    double.fail_next("POST /v2/sandboxes", busy);
    let sandbox = client.create(&NewSandbox::new("base")).await.unwrap();
    let never = E2bFault::Status(503, vec![("should-retry", "false".to_owned())], "no".to_owned());
    double.fail_next("GET /sandboxes", never);
    assert_eq!(
        client.get(&sandbox.id).await.unwrap_err().kind(),
        E2bErrorKind::Busy
    );

    double.lose(sandbox.id.as_str());
    let error = client
        .start(&sandbox, &Command::new("true", [""; 0]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::NotFound, "{error}");

    let nobody = client_with(&double, "e2b_not_this_one");
    let error = nobody.create(&NewSandbox::new("base")).await.unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::Unauthorized);
    for shown in [format!("{error} {error:?}"), format!("{nobody:?}")] {
        assert!(!shown.contains("not_this_one"), "{shown}");
    }
}

#[tokio::test]
async fn a_wrong_setting_is_named_without_the_key() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = |key: &str| E2bClient::builder(http_client().unwrap(), key);
    for (builder, setting) in [
        (builder(""), "E2B_API_KEY"),
        (builder("e2b_s3cr3t\n"), "E2B_API_KEY"),
        (builder("e2b_s3cr3t").api_url("ftp://api.e2b.app"), "E2B_API_URL"),
        (builder("e2b_s3cr3t").api_url("http://api.e2b.app"), "E2B_API_URL"),
        (
            builder("e2b_s3cr3t").sandbox_url("https://u:s3cr3t@host"),
            "E2B_SANDBOX_URL",
        ),
        (builder("e2b_s3cr3t").domain("a/b"), "E2B_DOMAIN"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.setting, setting);
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    }
}
