//! What comes out of a program's pipes while it runs: capped, and heard as it comes.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use meterbox_sandbox_client::{Limits, OutputSink, OutputStream};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

/// Three pipes of each run have room for so much, which is made before the run begins.
const CHUNK: usize = 16 * 1024;

/// Three pipes that nothing has gone through yet, made before there is a program for them. Nobody listens to them yet: whoever
/// runs the program may do so with another reactor than whoever made them.
#[derive(Debug)]
pub(crate) struct Pipes {
    stdout: Unheard,
    stderr: Unheard,
    reply: Unheard,
    ends: ProgramEnds,
}

/// Standard output, standard error and the reply.
pub(crate) struct Streams {
    stdout: Printed,
    stderr: Printed,
    reply: Pipe,
    reply_bytes: Vec<u8>,
    reply_room: u64,
    reply_was_cut: bool,
    output_room: u64,
    output_bytes: u64,
    sink: Arc<dyn OutputSink>,
}

/// The ends for the program.
#[derive(Debug)]
pub(crate) struct ProgramEnds {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) reply: OwnedFd,
}

/// What a step brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Read,
    OverLimit,
}

/// Everything that was said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) reply: Vec<u8>,
    pub(crate) output_bytes: u64,
}

impl Pipes {
    pub(crate) fn new() -> io::Result<Self> {
        let (stdout, stdout_end) = Unheard::new()?;
        let (stderr, stderr_end) = Unheard::new()?;
        let (reply, reply_end) = Unheard::new()?;
        Ok(Self {
            stdout,
            stderr,
            reply,
            ends: ProgramEnds {
                stdout: stdout_end,
                stderr: stderr_end,
                reply: reply_end,
            },
        })
    }
}

impl Streams {
    pub(crate) fn new(
        pipes: Pipes,
        limits: &Limits,
        sink: Arc<dyn OutputSink>,
    ) -> io::Result<(Self, ProgramEnds)> {
        let streams = Self {
            stdout: Printed::new(OutputStream::Stdout, pipes.stdout.heard()?),
            stderr: Printed::new(OutputStream::Stderr, pipes.stderr.heard()?),
            reply: pipes.reply.heard()?,
            reply_bytes: Vec::new(),
            reply_room: limits.reply_bytes,
            reply_was_cut: false,
            output_room: limits.output_bytes,
            output_bytes: 0,
            sink,
        };
        Ok((streams, pipes.ends))
    }

    /// Waits until there is something to read, and reads nothing of it. It may be there no more, or never.
    pub(crate) async fn stir(&self) {
        tokio::select! {
            () = self.stdout.pipe.stirs() => {},
            () = self.stderr.pipe.stirs() => {},
            () = self.reply.stirs() => {},
        }
    }

    /// What comes from now on is another cell's: under its limits, with so much room for its reply, heard by its sink.
    pub(crate) fn restart(&mut self, limits: &Limits, reply_room: u64, sink: Arc<dyn OutputSink>) {
        self.reply_bytes.clear();
        self.reply_room = reply_room;
        self.reply_was_cut = false;
        self.output_room = limits.output_bytes;
        self.output_bytes = 0;
        self.sink = sink;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stdout.pipe.is_open() || self.stderr.pipe.is_open() || self.reply.is_open()
    }

    /// Bytes printed so far.
    pub(crate) fn output_bytes(&self) -> u64 {
        self.output_bytes
    }

    /// What has come of the reply.
    pub(crate) fn reply(&self) -> &[u8] {
        &self.reply_bytes
    }

    /// Reads what is in the pipes now. For a program that is stopped: another may write faster than this reads.
    pub(crate) fn drain_now(&mut self) -> Step {
        loop {
            let (out, err, reply) = (
                self.stdout.pipe.read_now(),
                self.stderr.pipe.read_now(),
                self.reply.read_now(),
            );
            if (out, err, reply) == (0, 0, 0) {
                return Step::Read;
            }
            let (room, total, sink) = (&mut self.output_room, &mut self.output_bytes, &*self.sink);
            let steps = [
                Self::take(&mut self.stdout, out, room, total, sink),
                Self::take(&mut self.stderr, err, room, total, sink),
                self.take_reply(reply),
            ];
            if steps.contains(&Step::OverLimit) {
                return Step::OverLimit;
            }
        }
    }

    /// Waits for the next bytes of any pipe. Cancel-safe. Pends for ever once all are closed.
    pub(crate) async fn step(&mut self) -> Step {
        tokio::select! {
            read = self.stdout.pipe.read() => Self::take(&mut self.stdout, read, &mut self.output_room, &mut self.output_bytes, &*self.sink),
            read = self.stderr.pipe.read() => Self::take(&mut self.stderr, read, &mut self.output_room, &mut self.output_bytes, &*self.sink),
            read = self.reply.read() => self.take_reply(read),
        }
    }

    fn take_reply(&mut self, read: usize) -> Step {
        let kept = read.min(usize::try_from(self.reply_room).unwrap_or(usize::MAX));
        self.reply_bytes.extend_from_slice(&self.reply.chunk[..kept]);
        self.reply_room -= kept as u64;
        self.reply_was_cut |= kept < read;
        if kept < read { Step::OverLimit } else { Step::Read }
    }

    fn take(
        printed: &mut Printed,
        read: usize,
        room: &mut u64,
        total: &mut u64,
        sink: &dyn OutputSink,
    ) -> Step {
        let kept = read.min(usize::try_from(*room).unwrap_or(usize::MAX));
        *room -= kept as u64;
        *total += read as u64;
        printed.hear(kept, sink);
        if kept < read { Step::OverLimit } else { Step::Read }
    }

    /// What was said up to now. A reply that was cut is worth nothing and left out.
    pub(crate) fn finish(&mut self) -> Said {
        for printed in [&mut self.stdout, &mut self.stderr] {
            printed.flush(&*self.sink);
        }
        let reply = std::mem::take(&mut self.reply_bytes);
        Said {
            stdout: std::mem::take(&mut self.stdout.text),
            stderr: std::mem::take(&mut self.stderr.text),
            reply: if self.reply_was_cut { Vec::new() } else { reply },
            output_bytes: self.output_bytes,
        }
    }
}

#[derive(Debug)]
struct Unheard {
    end: OwnedFd,
    chunk: Vec<u8>,
}

impl Unheard {
    fn new() -> io::Result<(Self, OwnedFd)> {
        let (end, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&end, true)?;
        let chunk = vec![0; CHUNK];
        Ok((Self { end, chunk }, theirs))
    }

    fn heard(self) -> io::Result<Pipe> {
        Ok(Pipe {
            receiver: Some(Receiver::from_owned_fd_unchecked(self.end)?),
            chunk: self.chunk,
        })
    }
}

#[derive(Debug)]
struct Pipe {
    receiver: Option<Receiver>,
    chunk: Vec<u8>,
}

impl Pipe {
    fn is_open(&self) -> bool {
        self.receiver.is_some()
    }

    async fn stirs(&self) {
        if let Some(receiver) = &self.receiver {
            let _ = receiver.readable().await;
        }
    }

    /// How many bytes are now in `chunk`; 0 when the pipe has just closed.
    async fn read(&mut self) -> usize {
        let Some(receiver) = &mut self.receiver else {
            return std::future::pending().await;
        };
        match receiver.read(&mut self.chunk).await {
            Ok(0) | Err(_) => {
                self.receiver = None;
                0
            }
            Ok(bytes) => bytes,
        }
    }

    /// How many bytes are now in `chunk`; 0 where there are none. Asks the kernel, not the reactor, who may not know yet.
    fn read_now(&mut self) -> usize {
        let receiver = self.receiver.as_ref().map(AsFd::as_fd);
        receiver.map_or(0, |pipe| {
            rustix::io::read(pipe, &mut self.chunk).unwrap_or_default()
        })
    }
}

struct Printed {
    stream: OutputStream,
    pipe: Pipe,
    text: String,
    /// The beginning of a character whose rest has not come yet.
    unfinished: Vec<u8>,
}

impl Printed {
    fn new(stream: OutputStream, pipe: Pipe) -> Self {
        Self {
            stream,
            pipe,
            text: String::new(),
            unfinished: Vec::new(),
        }
    }

    fn hear(&mut self, bytes: usize, sink: &dyn OutputSink) {
        let mut pending = std::mem::take(&mut self.unfinished);
        pending.extend_from_slice(&self.pipe.chunk[..bytes]);
        let (text, unfinished) = decode(&pending);
        self.unfinished = unfinished.to_vec();
        self.say(&text, sink);
    }

    fn flush(&mut self, sink: &dyn OutputSink) {
        if !self.unfinished.is_empty() {
            self.unfinished.clear();
            self.say("\u{fffd}", sink);
        }
    }

    fn say(&mut self, text: &str, sink: &dyn OutputSink) {
        if !text.is_empty() {
            self.text.push_str(text);
            sink.printed(self.stream, text);
        }
    }
}

/// The text of these bytes with invalid parts replaced, and the beginning of a character at their end.
fn decode(bytes: &[u8]) -> (String, &[u8]) {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return (text, &[]);
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                let Some(invalid) = error.error_len() else {
                    return (text, after);
                };
                text.push('\u{fffd}');
                rest = &after[invalid..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_cut_in_two_are_waited_for() {
        let (text, rest) = decode("aü€".as_bytes().split_last().unwrap().1);
        assert_eq!((text.as_str(), rest), ("aü", &"€".as_bytes()[..2]));
        assert_eq!(decode(b"a\xff\xfeb").0, "a\u{fffd}\u{fffd}b");
    }
}
