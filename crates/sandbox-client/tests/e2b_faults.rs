//! Whatever is wrong between the client and E2B ends in a typed error, in bounded time; and no key is in anything that
//! can be shown.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    error::Error,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use meterbox_sandbox_client::e2b::{
    Command, E2bClient, E2bError, E2bErrorKind, ExecutionRequest, NewSandbox, SandboxAccess, Signal,
    http_client,
};
use meterbox_testkit::{E2B_KEY, E2bDouble, E2bFault, TlsCertificate, TlsFront};

/// Of what never ends.
const SHORT: Duration = Duration::from_secs(1);
/// Of what ends by itself, also where other tests keep the machine busy.
const DEADLINE: Duration = Duration::from_secs(30);
/// Far more than a deadline, far less than for ever.
const PATIENCE: Duration = Duration::from_secs(90);

fn client(double: &E2bDouble, deadline: Duration) -> E2bClient {
    // An error means that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    E2bClient::builder(http_client().unwrap(), E2B_KEY)
        .api_url(double.url())
        .sandbox_url(double.url())
        .request_timeout(deadline)
        .build()
        .unwrap()
}

/// A call, and the beginning of the request it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Create,
    Get,
    List,
    Kill,
    Read,
    Write,
    ListFolder,
    Signal,
    Start,
    Execute,
    Context,
}

impl Call {
    const ALL: [Self; 11] = [
        Self::Create,
        Self::Get,
        Self::List,
        Self::Kill,
        Self::Read,
        Self::Write,
        Self::ListFolder,
        Self::Signal,
        Self::Start,
        Self::Execute,
        Self::Context,
    ];

    fn request(self) -> &'static str {
        match self {
            Self::Create => "POST /v2/sandboxes",
            Self::Get => "GET /sandboxes/",
            Self::List => "GET /v2/sandboxes",
            Self::Kill => "DELETE /sandboxes/",
            Self::Read => "GET /files",
            Self::Write => "POST /files",
            Self::ListFolder => "POST /filesystem.Filesystem/ListDir",
            Self::Signal => "POST /process.Process/SendSignal",
            Self::Start => "POST /process.Process/Start",
            Self::Execute => "POST /execute",
            Self::Context => "POST /contexts",
        }
    }

    /// Is it opened by the token of a machine, and not by the key?
    fn is_of_a_machine(self) -> bool {
        !matches!(self, Self::Create | Self::Get | Self::List | Self::Kill)
    }

    /// Does what it says not matter, as long as it says yes?
    fn is_deaf(self) -> bool {
        self == Self::Kill
    }

    async fn make(
        self,
        client: &E2bClient,
        sandbox: &SandboxAccess,
        deadline: Duration,
    ) -> Result<(), E2bError> {
        match self {
            Self::Create => client.create(&NewSandbox::new("base")).await.map(drop),
            Self::Get => client.get(&sandbox.id).await.map(drop),
            Self::List => client.list(&Default::default()).await.map(drop),
            Self::Kill => client.kill(&sandbox.id).await.map(drop),
            Self::Read => client
                .read_file(sandbox, "/tmp/note", "user", 1 << 20)
                .await
                .map(drop),
            Self::Write => client.write_file(sandbox, "/tmp/note", "user", "hello").await,
            Self::ListFolder => client.list_folder(sandbox, "/tmp", "user").await.map(drop),
            Self::Signal => client.signal(sandbox, 1, Signal::Kill, None).await,
            Self::Start => {
                let mut command = Command::new("true", [""; 0]);
                command.limit = deadline;
                let mut process = client.start(sandbox, &command).await?;
                while process.next().await?.is_some() {}
                Ok(())
            }
            Self::Execute => {
                let mut request = ExecutionRequest::new("1");
                request.limit = deadline;
                let mut execution = client.execute(sandbox, &request).await?;
                while execution.next().await?.is_some() {}
                Ok(())
            }
            Self::Context => client.create_context(sandbox, "python", "/").await.map(drop),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_every_call_is_typed_and_bounded() {
    let double = E2bDouble::start().await;
    let (client, hasty) = (client(&double, DEADLINE), client(&double, SHORT));
    let sandbox = client.create(&NewSandbox::new("base")).await.unwrap();
    let broken = [E2bErrorKind::Broken, E2bErrorKind::Cut];
    for call in Call::ALL {
        let meets = async |fault: E2bFault| {
            // As often as it may be tried again.
            for _ in 0..4 {
                double.fail_next(call.request(), fault.clone());
            }
            let made = match fault {
                E2bFault::Hang | E2bFault::Drip => call.make(&hasty, &sandbox, SHORT).await,
                _ => call.make(&client, &sandbox, DEADLINE).await,
            };
            double.forget_faults();
            made
        };
        let meets = async |fault: E2bFault| {
            let met = tokio::time::timeout(PATIENCE, meets(fault.clone())).await;
            met.unwrap_or_else(|_| panic!("{call:?} goes on and on after {fault:?}"))
        };
        let kind = async |fault: E2bFault| meets(fault).await.map_err(|error| error.kind());

        let elsewhere = kind(E2bFault::Redirect("http://127.0.0.1:9/".to_owned())).await;
        assert_eq!(elsewhere, Err(E2bErrorKind::BadReply), "{call:?}");
        let refused = E2bFault::Status(500, Vec::new(), "<html>an edge</html>".to_owned());
        assert_eq!(kind(refused).await, Err(E2bErrorKind::Server), "{call:?}");
        assert_eq!(
            kind(E2bFault::Hang).await,
            Err(E2bErrorKind::DeadlinePassed),
            "{call:?}"
        );
        if call.is_deaf() {
            continue;
        }
        let cut = kind(E2bFault::CutBody).await.unwrap_err();
        assert!(broken.contains(&cut), "{call:?}: {cut:?}");
        let lost = kind(E2bFault::LostReply).await.unwrap_err();
        assert!(
            broken.contains(&lost) || lost == E2bErrorKind::BadReply,
            "{call:?}: {lost:?}"
        );
        let dripped = kind(E2bFault::Drip).await;
        let huge = kind(E2bFault::HugeBody).await;
        if call == Call::Start {
            // Of no type, so that not a byte of it is read.
            assert_eq!(
                (dripped, huge),
                (Err(E2bErrorKind::BadReply), Err(E2bErrorKind::BadReply))
            );
        } else {
            assert_eq!(dripped, Err(E2bErrorKind::DeadlinePassed), "{call:?}");
            assert_eq!(huge, Err(E2bErrorKind::TooLarge), "{call:?}");
        }
        // A file is whatever its bytes are, and what a write says beyond yes says nothing.
        if matches!(call, Call::Read | Call::Write) {
            continue;
        }
        for fault in [E2bFault::Junk, E2bFault::WrongType] {
            let error = meets(fault.clone()).await.unwrap_err();
            if call == Call::Execute {
                // Its lines have no type, and the last of them no end.
                assert!(
                    matches!(error.kind(), E2bErrorKind::BadReply | E2bErrorKind::Cut),
                    "{error}"
                );
                continue;
            }
            assert_eq!(error.kind(), E2bErrorKind::BadReply, "{call:?}");
            let names_the_type = error.to_string().contains("text/html");
            assert_eq!(names_the_type, fault == E2bFault::WrongType, "{call:?}: {error}");
        }
    }
}

/// Bytes of a right stream that are wrong all the same.
#[tokio::test]
async fn streams_of_the_right_type_are_bounded_too() {
    let double = E2bDouble::start().await;
    let client = client(&double, DEADLINE);
    let sandbox = client.create(&NewSandbox::new("base")).await.unwrap();
    let stream = |body: &str| {
        let kind = ("content-type", "application/connect+json".to_owned());
        E2bFault::Status(200, vec![kind], body.to_owned())
    };
    for (body, kind) in [
        ("\0\0\0\0\u{2}{}", E2bErrorKind::Cut),
        // A message of two gigabytes.
        ("\0\u{7f}\0\0\0", E2bErrorKind::TooLarge),
        ("\0\0\0\0\u{4}junk", E2bErrorKind::BadReply),
        ("\u{1}\0\0\0\u{2}{}", E2bErrorKind::BadReply),
        (
            "\0\0\0\0\u{29}{\"event\": {\"data\": {\"stdout\": \"no base\"}}}",
            E2bErrorKind::BadReply,
        ),
        ("", E2bErrorKind::Cut),
    ] {
        double.fail_next(Call::Start.request(), stream(body));
        let error = Call::Start.make(&client, &sandbox, DEADLINE).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{body:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_show_who_it_is_gets_nothing() {
    let double = E2bDouble::start().await;
    // An error means that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (certificate, reason) in [
        (TlsCertificate::Good, None),
        (TlsCertificate::SelfSigned, Some("")),
        (TlsCertificate::Expired, Some("expired")),
        (TlsCertificate::OfAnotherHost, Some("not valid for name")),
        (TlsCertificate::OfAnotherAuthority, Some("")),
    ] {
        let front = TlsFront::start(&double.url(), certificate).await;
        let authority = reqwest::Certificate::from_der(front.authority()).unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([authority])
            .build()
            .unwrap();
        let client = E2bClient::builder(http, E2B_KEY)
            .api_url(front.url())
            .request_timeout(DEADLINE)
            .build()
            .unwrap();
        let created = client.create(&NewSandbox::new("base")).await;
        let Some(reason) = reason else {
            created.unwrap();
            assert!(front.accepted() > 0);
            continue;
        };
        let error = created.unwrap_err();
        assert_eq!(
            error.kind(),
            E2bErrorKind::Unreachable,
            "{certificate:?}: {error}"
        );
        assert!(
            error.to_string().contains("certificate") && error.to_string().contains(reason),
            "{certificate:?}: {error}"
        );
        assert_eq!(front.accepted(), 0, "{certificate:?}: the key was sent");
    }
}

/// Everything that is written anywhere.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A server that repeats the key and the token in everything it says: none is in an error, its causes, its debug form, or
/// any log of any crate.
#[tokio::test]
async fn keys_are_in_nothing_that_can_be_shown() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let double = E2bDouble::start().await;
    let client = client(&double, DEADLINE);
    let sandbox = client.create(&NewSandbox::new("base")).await.unwrap();
    let token = double.token_of(sandbox.id.as_str()).unwrap();
    let secrets = [E2B_KEY, token.as_str()];
    let mut shown = vec![format!("{client:?} {sandbox:?}")];
    for call in Call::ALL {
        let secret = if call.is_of_a_machine() { &token } else { E2B_KEY };
        let long = "x".repeat(295);
        let said = format!("{long}{secret} {secret}");
        let in_words = format!(r#"{{"code": "{said}", "message": "{said}", "error_code": "{said}"}}"#);
        // A parser quotes a text that it did not expect.
        let in_a_wrong_place = format!(
            r#"{{"code": "unknown", "message": ["{secret}"], "sandboxID": "{secret}", "entries": "{secret}", "id": 1,
                "language": ["{secret}"], "type": "stdout", "text": ["{secret}"]}}"#
        )
        .replace('\n', " ");
        for status in [200, 400, 401, 403, 404, 409, 429, 500, 502, 503] {
            for body in [&said, &in_words, &in_a_wrong_place] {
                for _ in 0..4 {
                    let headers = vec![("should-retry", "false".to_owned())];
                    double.fail_next(call.request(), E2bFault::Status(status, headers, body.clone()));
                }
                if let Err(error) = call.make(&client, &sandbox, DEADLINE).await {
                    shown.push(format!("{error} {error:?}"));
                    let mut cause: Option<&dyn Error> = error.source();
                    while let Some(deeper) = cause {
                        shown.push(format!("{deeper} {deeper:?}"));
                        cause = deeper.source();
                    }
                }
                double.forget_faults();
            }
        }
    }
    assert!(shown.len() > 250, "{}", shown.len());
    shown.push(String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned());
    for text in &shown {
        for secret in secrets {
            // Not even the beginning of one that was cut.
            assert!(!text.contains(&secret[..secret.len().min(12)]), "{text}");
        }
    }
}
