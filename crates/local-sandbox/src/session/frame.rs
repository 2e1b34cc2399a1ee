//! What goes into the process of a session and what comes out of it, as bytes. What comes out is a stranger's.

use std::io;

use meterbox_sandbox_client::{Cell, Limits, Program};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;

const NONCE: usize = 16;
const HEAD: usize = NONCE + 8;

/// Names one cell. Nobody inside knows it before the cell is there, so a reply to it cannot have been written earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonce {
    bytes: [u8; NONCE],
    /// Always, but where tests leave this guard out.
    is_asked_for: bool,
}

impl Nonce {
    pub(crate) fn new(is_asked_for: bool) -> io::Result<Self> {
        let mut bytes = [0; NONCE];
        getrandom(&mut bytes, GetRandomFlags::empty())?;
        Ok(Self { bytes, is_asked_for })
    }

    pub(crate) fn hex(self) -> String {
        self.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A cell as the runner reads it: its length, and a document.
pub(crate) fn cell(cell: &Cell, limits: &Limits, nonce: Nonce) -> io::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Document<'a> {
        mode: &'static str,
        code: &'a str,
        parameters: Option<&'a serde_json::Value>,
        reply_bytes: u64,
        nonce: String,
    }
    let (mode, code, parameters) = match &cell.program {
        Program::Analysis { code } => ("analysis", code, None),
        Program::Service { code, parameters } => ("service", code, Some(parameters)),
    };
    let document = Document {
        mode,
        code,
        parameters,
        reply_bytes: limits.reply_bytes,
        nonce: nonce.hex(),
    };
    let mut bytes = vec![0; 8];
    serde_json::to_writer(&mut bytes, &document)?;
    let length = (bytes.len() - 8) as u64;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// How many bytes a reply takes, with what stands before it.
pub(crate) fn room(limits: &Limits) -> u64 {
    limits.reply_bytes.saturating_add(HEAD as u64)
}

/// What the bytes are that have come since the cell began: nonce, length, reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// Its rest may still come.
    Unfinished,
    /// The reply, and nothing after it; empty where the cell ended without one.
    Whole(&'a [u8]),
    /// None of ours, or more than one.
    Broken(&'static str),
}

pub(crate) fn read(bytes: &[u8], nonce: Nonce) -> Frame<'_> {
    let known = bytes.len().min(NONCE);
    if nonce.is_asked_for && bytes[..known] != nonce.bytes[..known] {
        return Frame::Broken("it does not belong to this cell");
    }
    let Some((head, reply)) = bytes.split_first_chunk::<HEAD>() else {
        return Frame::Unfinished;
    };
    let length = head[NONCE..]
        .first_chunk()
        .map_or(0, |length| u64::from_le_bytes(*length));
    match (reply.len() as u64).cmp(&length) {
        std::cmp::Ordering::Less => Frame::Unfinished,
        std::cmp::Ordering::Equal => Frame::Whole(reply),
        std::cmp::Ordering::Greater => Frame::Broken("there is something after it"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: Nonce = of([7; NONCE]);

    const fn of(bytes: [u8; NONCE]) -> Nonce {
        Nonce {
            bytes,
            is_asked_for: true,
        }
    }

    fn framed(nonce: Nonce, length: u64, reply: &[u8]) -> Vec<u8> {
        [&nonce.bytes[..], &length.to_le_bytes(), reply].concat()
    }

    #[test]
    fn only_one_whole_frame_of_this_cell_is_a_reply() {
        let whole = framed(OURS, 3, b"{1}");
        assert_eq!(read(&whole, OURS), Frame::Whole(b"{1}"));
        assert_eq!(read(&framed(OURS, 0, b""), OURS), Frame::Whole(b""));
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end], OURS), Frame::Unfinished, "{end} bytes");
        }
        assert_eq!(read(&framed(OURS, u64::MAX, b"{1}"), OURS), Frame::Unfinished);
        for broken in [
            framed(of([8; NONCE]), 3, b"{1}"),
            framed(OURS, 2, b"{1}"),
            b"{\"value\"".to_vec(),
        ] {
            assert!(matches!(read(&broken, OURS), Frame::Broken(_)), "{broken:?}");
        }
    }

    #[test]
    fn no_two_cells_have_one_name() {
        let (one, other) = (Nonce::new(true).unwrap(), Nonce::new(true).unwrap());
        assert_ne!(one, other);
        assert_eq!(one.hex().len(), 2 * NONCE);
    }

    proptest! {
        /// However it is cut, a frame is unfinished until it is whole; and strangers' bytes are never a reply.
        #[test]
        fn any_bytes_are_a_frame_or_refused(reply in prop::collection::vec(any::<u8>(), 0..200),
                                            more in prop::collection::vec(any::<u8>(), 1..50),
                                            noise in prop::collection::vec(any::<u8>(), 1..300)) {
            let whole = framed(OURS, reply.len() as u64, &reply);
            prop_assert_eq!(read(&whole, OURS), Frame::Whole(&reply[..]));
            let longer = [&whole[..], &more[..]].concat();
            prop_assert!(matches!(read(&longer, OURS), Frame::Broken(_)));
            prop_assert!(noise.starts_with(&OURS.bytes) || !matches!(read(&noise, OURS), Frame::Whole(_)));
        }
    }
}
