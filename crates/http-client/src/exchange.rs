//! One request, one reply.

use std::{error::Error, future::Future};

use reqwest::{Client, Request, Response, StatusCode, header::HeaderMap};
use tokio::time::{Instant, timeout_at};

use crate::{server_of, shown};

/// Why there is no reply, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No connection could be made: nothing was sent.
    #[error("{server} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection broke after something was sent: what the server did with it is unknown.
    #[error("the connection to {server} broke: {reason}")]
    Broken {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The deadline passed: what the server did is unknown.
    #[error("{server} took longer than allowed")]
    DeadlinePassed {
        /// Host and port.
        server: String,
    },
    /// The server points elsewhere.
    #[error("{server} redirects elsewhere")]
    Redirected {
        /// Host and port.
        server: String,
    },
    /// The body is larger than allowed; the rest was not read.
    #[error("the reply of {server} is larger than {limit} bytes")]
    TooLarge {
        /// Host and port.
        server: String,
        /// In bytes.
        limit: usize,
    },
}

/// A reply whose body is not yet read.
#[derive(Debug)]
pub struct Reply {
    response: Response,
    deadline: Instant,
    server: String,
}

/// Sends it once. Any status but a redirect is a reply.
///
/// # Errors
/// [`Fault`].
///
/// # Cancel safety
/// Dropping the future closes the connection; what the server does is then unknown.
pub async fn send(http: &Client, request: Request, deadline: Instant) -> Result<Reply, Fault> {
    let server = server_of(request.url());
    let response = within(&server, deadline, http.execute(request))
        .await?
        .map_err(|error| fault(&server, error))?;
    if response.status().is_redirection() {
        return Err(Fault::Redirected { server });
    }
    Ok(Reply {
        response,
        deadline,
        server,
    })
}

impl Reply {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// All of the body, if it is no more than so many bytes.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn bytes(mut self, limit: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len().saturating_add(chunk.as_ref().len()) > limit {
                return Err(Fault::TooLarge {
                    server: self.server,
                    limit,
                });
            }
            bytes.extend_from_slice(chunk.as_ref());
        }
        Ok(bytes)
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`Fault`].
    ///
    /// # Cancel safety
    /// A piece is lost only together with the whole reply.
    pub async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Fault> {
        within(&self.server, self.deadline, self.response.chunk())
            .await?
            .map_err(|error| fault(&self.server, error))
    }
}

async fn within<F: Future>(server: &str, deadline: Instant, future: F) -> Result<F::Output, Fault> {
    timeout_at(deadline, future)
        .await
        .map_err(|_| Fault::DeadlinePassed {
            server: server.to_owned(),
        })
}

fn fault(server: &str, error: reqwest::Error) -> Fault {
    // An address may hold what nobody may see.
    let error = error.without_url();
    let server = server.to_owned();
    if error.is_timeout() && !error.is_connect() {
        return Fault::DeadlinePassed { server };
    }
    let reason = innermost(&error);
    let source = Box::new(error);
    match source.is_connect() {
        true => Fault::Unreachable {
            server,
            reason,
            source,
        },
        false => Fault::Broken {
            server,
            reason,
            source,
        },
    }
}

/// The client's own words are only a kind of failure; the cause says why.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    shown(&cause.to_string())
}
