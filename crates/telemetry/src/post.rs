//! One request to the collector, of a thread that may wait.

use std::{fmt, io::Read as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_http_client::{deadline_after, now};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::{
    Url, blocking,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    redirect::Policy,
};

use crate::{Collector, tally::News};

/// One export takes no longer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a reply nothing but its status is of use; so much is read to use the connection again.
const MOST_OF_REPLY: usize = 64 * 1024;

/// Sends to one address of a collector, with its headers and none of anybody else's.
pub(crate) struct Post {
    client: blocking::Client,
    collector: Collector,
    url: Url,
    news: Arc<News>,
}

/// A client that blocks, which may not be made where a runtime runs.
pub(crate) fn client() -> Result<blocking::Client, reqwest::Error> {
    let build = || {
        blocking::Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("meterbox/", env!("CARGO_PKG_VERSION")))
            .build()
    };
    std::thread::scope(|scope| match scope.spawn(build).join() {
        Ok(built) => built,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

impl Post {
    pub(crate) fn new(client: blocking::Client, collector: &Collector, url: &Url, news: &Arc<News>) -> Self {
        Self {
            client,
            collector: collector.clone(),
            url: url.clone(),
            news: Arc::clone(news),
        }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        let (parts, body) = request.into_parts();
        let mut headers = self.collector.headers().clone();
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            if let Some(value) = parts.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let server = self.collector.server();
        // The error's own words may quote the address.
        let broken = |error: reqwest::Error| {
            Failed(if error.is_timeout() {
                format!("{server} did not answer in time")
            } else if error.is_connect() {
                format!("{server} could not be connected to")
            } else {
                format!("the connection to {server} broke")
            })
        };
        let deadline = deadline_after(TIMEOUT);
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        let mut reply = request.send().map_err(broken)?;
        let status = reply.status();
        if let Err(why) = self.collector.verdict(status) {
            self.news.failed_because(why.to_string());
        }
        let mut response = Response::builder().status(status);
        if let Some(pause) = reply.headers().get(reqwest::header::RETRY_AFTER) {
            response = response.header(reqwest::header::RETRY_AFTER, pause);
        }
        let mut read = vec![0; MOST_OF_REPLY];
        let mut length = 0;
        while length < read.len() && now() < deadline {
            match reply.read(read.get_mut(length..).unwrap_or_default()) {
                Ok(0) | Err(_) => break,
                Ok(more) => length += more,
            }
        }
        // What a reply says beside its status is not used.
        let response = response.body(Bytes::new());
        response.map_err(|_| Failed(format!("the reply of {server} cannot be read")))
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.send(request).map_err(|failed| {
            self.news.failed_because(failed.to_string());
            failed.into()
        })
    }
}

/// Without keys.
impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);
