//! What leaves this machine, counted as it does.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::{OutputSink, Sent};

/// A file on its way. Dropping it tells what of it was sent.
pub(super) struct Sending {
    to: String,
    name: String,
    seen: Seen,
    sink: Arc<dyn OutputSink>,
}

/// The bytes that went by.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<(Sha256, u64)>>);

impl Sending {
    pub(super) fn new(to: &str, name: &str, sink: &Arc<dyn OutputSink>) -> Self {
        Self {
            to: to.to_owned(),
            name: name.to_owned(),
            seen: Seen::default(),
            sink: Arc::clone(sink),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// A text of ours, all of it.
    pub(super) fn text(to: &str, name: &str, text: &str, sink: &Arc<dyn OutputSink>) {
        let seen = Seen::default();
        seen.add(text.as_bytes());
        let (bytes, sha256) = seen.sum();
        sink.sent(Sent {
            to: to.to_owned(),
            name: name.to_owned(),
            bytes,
            sha256,
            body: Some(text.to_owned()),
        });
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let (bytes, sha256) = self.seen.sum();
        if bytes > 0 {
            self.sink.sent(Sent {
                to: self.to.clone(),
                name: self.name.clone(),
                bytes,
                sha256,
                body: None,
            });
        }
    }
}

impl Seen {
    pub(super) fn add(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0.update(bytes);
        seen.1 += bytes.len() as u64;
    }

    fn sum(&self) -> (u64, String) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = seen.0.clone().finalize();
        (seen.1, hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
