//! Messages of a [Connect](https://connectrpc.com/docs/protocol) stream: a byte of flags, four bytes of length (big
//! endian), JSON; the last message has the flag 2 and says how the stream ended.

use serde::Deserialize;

use super::E2bError;

const HEADER_BYTES: usize = 5;
const END_OF_STREAM: u8 = 2;
const COMPRESSED: u8 = 1;

/// Cuts messages out of bytes that arrive in any pieces.
#[derive(Debug)]
pub(super) struct Frames {
    what: &'static str,
    /// Of one message.
    limit: usize,
    bytes: Vec<u8>,
    taken: usize,
}

/// A message, or the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Message(Vec<u8>),
    End,
}

/// How the server ends a stream or refuses a call.
#[derive(Debug, Deserialize)]
struct EndOfStream {
    error: Option<ConnectError>,
}

/// An error in Connect's words.
#[derive(Debug, Deserialize)]
pub(super) struct ConnectError {
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

impl Frames {
    pub(super) fn new(what: &'static str, limit: usize) -> Self {
        Self {
            what,
            limit,
            bytes: Vec::new(),
            taken: 0,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if all of it has arrived.
    ///
    /// # Errors
    /// A message that is too large, compressed though nobody asked for that, or an end with an error.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, E2bError> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((&[flags, a, b, c, d], body)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > self.limit {
            return Err(E2bError::TooLarge {
                what: self.what,
                limit: self.limit as u64,
            });
        }
        if flags & COMPRESSED != 0 {
            return Err(self.bad("a message is compressed"));
        }
        let Some(message) = body.get(..length) else {
            return Ok(None);
        };
        let message = message.to_vec();
        self.taken += HEADER_BYTES + length;
        if flags & END_OF_STREAM == 0 {
            return Ok(Some(Frame::Message(message)));
        }
        let end: EndOfStream =
            serde_json::from_slice(&message).map_err(|error| self.bad(&format!("its end: {error}")))?;
        match end.error {
            None => Ok(Some(Frame::End)),
            Some(error) => Err(error.into_error()),
        }
    }

    fn bad(&self, reason: &str) -> E2bError {
        E2bError::BadReply {
            what: self.what,
            reason: reason.to_owned(),
        }
    }
}

impl ConnectError {
    pub(super) fn into_error(self) -> E2bError {
        let message = self.message;
        match self.code.as_str() {
            "not_found" => E2bError::NotFound { message },
            "unauthenticated" => E2bError::Unauthorized { message },
            "permission_denied" => E2bError::Forbidden { message },
            "already_exists" | "failed_precondition" | "aborted" => E2bError::Conflict { message },
            "invalid_argument" | "out_of_range" | "unimplemented" => {
                E2bError::Rejected { status: 400, message }
            }
            "resource_exhausted" => E2bError::Busy {
                message,
                retry_after: None,
            },
            "deadline_exceeded" => E2bError::DeadlinePassed { what: "the process" },
            _ => E2bError::Server {
                status: 500,
                code: Some(self.code),
                message,
            },
        }
    }
}

/// A message as the protocol sends it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(HEADER_BYTES + message.len());
    frame.push(0);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end(json: &str) -> Vec<u8> {
        let mut frame = framed(json.as_bytes());
        frame[0] = END_OF_STREAM;
        frame
    }

    fn all(frames: &mut Frames) -> Result<Vec<Frame>, E2bError> {
        std::iter::from_fn(|| frames.next().transpose()).collect()
    }

    proptest! {
        #[test]
        fn messages_are_the_same_in_any_pieces(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
            pieces in proptest::collection::vec(1_usize..30, 1..40),
        ) {
            let mut stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
            stream.extend(end("{}"));
            let mut frames = Frames::new("a test", 64);
            let (mut seen, mut rest, mut sizes) = (Vec::new(), &stream[..], pieces.iter().cycle());
            while !rest.is_empty() {
                let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                frames.feed(piece);
                seen.extend(all(&mut frames).unwrap());
                rest = later;
            }
            let mut expected: Vec<Frame> = messages.into_iter().map(Frame::Message).collect();
            expected.push(Frame::End);
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut frames = Frames::new("a test", 64);
            frames.feed(&bytes);
            let _ = all(&mut frames);
        }
    }

    #[test]
    fn too_large_compressed_and_failed_are_typed() {
        let next = |bytes: &[u8]| {
            let mut frames = Frames::new("a test", 64);
            frames.feed(bytes);
            frames.next()
        };
        assert!(matches!(
            next(&[0, 0, 0, 0, 65]),
            Err(E2bError::TooLarge { limit: 64, .. })
        ));
        assert!(matches!(
            next(&[1, 0, 0, 0, 1, b'x']),
            Err(E2bError::BadReply { .. })
        ));
        let lost = end(r#"{"error": {"code": "not_found", "message": "no process 7"}}"#);
        assert!(matches!(next(&lost), Err(E2bError::NotFound { message }) if message == "no process 7"));
        assert!(matches!(next(&end("junk")), Err(E2bError::BadReply { .. })));
        assert_eq!(next(&[0, 0, 0, 0, 2, b'{']).unwrap(), None);
    }
}
