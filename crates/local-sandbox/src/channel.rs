//! Sockets that carry whole messages, with descriptors beside them.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::net::unix::pipe::Receiver;

/// The longest message, which is the zygote's first: its list of packages.
const LONGEST: usize = 64 * 1024;
/// The longest of all others.
const LONG: usize = 512;
/// The most descriptors sent with one message.
const MOST_DESCRIPTORS: usize = 5;
/// So long one waits for room in a socket that is full, which takes hundreds of messages that nobody reads.
const FULL: Duration = Duration::from_millis(1);

/// Our end of a pair of sequenced sockets, which say when the other end hangs up. Only what comes wakes anybody: that the
/// other side has read a message does not. To tokio it is the reading end of a pipe, of which that holds: for any descriptor
/// (`AsyncFd`) it takes unsafe code.
#[derive(Debug)]
pub(crate) struct Channel(Receiver);

/// Such an end that wakes nobody at all: what comes lies there until somebody looks.
#[derive(Debug)]
pub(crate) struct Quiet(OwnedFd);

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptor: Option<OwnedFd>,
}

impl Channel {
    /// Our end, and the end to hand to the other side.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((Self(Receiver::from_owned_fd_unchecked(ours)?), theirs))
    }

    pub(crate) fn quiet(self) -> io::Result<Quiet> {
        self.0.into_nonblocking_fd().map(Quiet)
    }

    pub(crate) async fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        loop {
            match send_now(self.0.as_fd(), bytes, descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(FULL).await,
                sent => return sent,
            }
        }
    }

    /// Sends where that takes no waiting.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        send_now(self.0.as_fd(), bytes, &[])
    }

    /// The next message; `None` once the other side hung up. At most one descriptor is accepted.
    ///
    /// Cancel-safe.
    pub(crate) async fn receive(&self) -> io::Result<Option<Message>> {
        self.receive_into(&mut [0; LONG]).await
    }

    /// The same for a zygote's first message.
    pub(crate) async fn receive_first(&self) -> io::Result<Option<Message>> {
        self.receive_into(&mut vec![0; LONGEST]).await
    }

    async fn receive_into(&self, space: &mut [u8]) -> io::Result<Option<Message>> {
        loop {
            self.0.readable().await?;
            match self.0.try_io(|| receive_now(self.0.as_fd(), space)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }
}

impl Quiet {
    /// Sends where there is room, which there is for the first messages.
    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_now(self.0.as_fd(), bytes, descriptors)
    }

    /// What [`Channel::receive`] would give now; [`io::ErrorKind::WouldBlock`] where it would wait.
    pub(crate) fn look(&self) -> io::Result<Option<Message>> {
        receive_now(self.0.as_fd(), &mut [0; LONG])
    }

    pub(crate) fn listen(self) -> io::Result<Channel> {
        Receiver::from_owned_fd_unchecked(self.0).map(Channel)
    }
}

fn send_now(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive_now(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Option<Message>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(bytes)],
        &mut beside,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptor = beside
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => Some(descriptors.next()),
            _ => None,
        })
        .flatten();
    if received.bytes == 0 {
        return Ok(None);
    }
    Ok(Some(Message {
        bytes: bytes[..received.bytes].to_vec(),
        descriptor,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_was_woken_for_lies_there() {
        let (channel, theirs) = Channel::pair().unwrap();
        let quiet = channel.quiet().unwrap();
        let nothing = quiet.look().unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        quiet.send(b"to them", &[theirs.as_fd()]).unwrap();
        let heard = receive_now(theirs.as_fd(), &mut [0; LONG]).unwrap().unwrap();
        assert_eq!(
            (&*heard.bytes, heard.descriptor.is_some()),
            (&b"to them"[..], true)
        );

        for word in [b"one", b"two"] {
            send_now(theirs.as_fd(), word, &[]).unwrap();
        }
        assert_eq!(quiet.look().unwrap().unwrap().bytes, b"one");
        let channel = quiet.listen().unwrap();
        assert_eq!(channel.receive().await.unwrap().unwrap().bytes, b"two");
        drop((theirs, heard));
        assert!(channel.receive().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_full_socket_is_waited_for() {
        const MESSAGES: usize = 2_000;
        let (channel, theirs) = Channel::pair().unwrap();
        let reader = std::thread::spawn(move || {
            std::thread::sleep(10 * FULL);
            let read = || rustix::io::read(&theirs, &mut [0; LONG]).unwrap();
            (0..MESSAGES).map(|_| read()).sum::<usize>()
        });
        for _ in 0..MESSAGES {
            channel.send(&[7; LONG], &[]).await.unwrap();
        }
        assert_eq!(reader.join().unwrap(), MESSAGES * LONG);
    }
}
