use std::{convert::Infallible, io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use futures_util::stream;

/// What a request to a double can meet instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireFault {
    /// This status, these headers and this body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// The request is done, and the connection breaks before the answer.
    LostReply,
    /// Half a body, and the connection breaks.
    CutBody,
    /// A byte now and then, for ever.
    Drip,
    /// No answer at all.
    Hang,
    /// A gigabyte.
    HugeBody,
    /// 200, and bytes that are no UTF-8 and no JSON.
    Junk,
    /// 200, and a page instead of JSON.
    WrongType,
    /// To another server.
    Redirect(String),
}

impl WireFault {
    pub(crate) async fn answer(self) -> Response {
        match self {
            Self::Status(status, headers, body) => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response.body(body.into()).expect("a reply")
            }
            Self::LostReply => cut(),
            Self::CutBody => {
                let pieces = [Ok(Bytes::from_static(b"{\"sandboxID\": ")), Err(broken())];
                Body::from_stream(stream::iter(pieces)).into_response()
            }
            Self::Drip => {
                let bytes = stream::unfold((), |()| async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
                });
                Body::from_stream(bytes).into_response()
            }
            Self::Hang => std::future::pending().await,
            Self::HugeBody => {
                let megabyte = Bytes::from(vec![b' '; 1 << 20]);
                let megabytes = stream::iter((0..1024).map(move |_| Ok::<_, Infallible>(megabyte.clone())));
                Body::from_stream(megabytes).into_response()
            }
            Self::Junk => b"\xff\xfe{{".as_slice().into_response(),
            Self::WrongType => Html("<html>Sign in to this network</html>").into_response(),
            Self::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        }
    }
}

/// Nothing but a broken connection: the headers are already out when the body fails.
pub(crate) fn cut() -> Response {
    Body::from_stream(stream::iter([Err::<Bytes, _>(broken())])).into_response()
}

pub(crate) fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "as ordered")
}
