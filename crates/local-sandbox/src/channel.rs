//! Sockets that carry whole messages, with descriptors beside them.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::{io::Interest, net::UnixDatagram};

/// The longest message. The zygote's list of packages is the longest there is.
const LONGEST: usize = 64 * 1024;
/// The most descriptors sent with one message.
const MOST_DESCRIPTORS: usize = 5;

/// Our end of a pair. A datagram socket to tokio; in truth a sequenced one, which says when the other end
/// hangs up.
#[derive(Debug)]
pub(crate) struct Channel(UnixDatagram);

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
        Ok((Self(UnixDatagram::from_std(ours.into())?), theirs))
    }

    pub(crate) async fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::Error::other("too many descriptors for one message"));
            }
            sendmsg(
                self.0.as_fd(),
                &[IoSlice::new(bytes)],
                &mut beside,
                SendFlags::NOSIGNAL,
            )?;
            Ok(())
        };
        self.0.async_io(Interest::WRITABLE, send).await
    }

    /// Sends where that takes no waiting.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        let send = || Ok(rustix::net::send(self.0.as_fd(), bytes, SendFlags::NOSIGNAL)?);
        self.0.try_io(Interest::WRITABLE, send).map(drop)
    }

    /// The next message; `None` once the other side hung up. At most one descriptor is accepted.
    ///
    /// Cancel-safe.
    pub(crate) async fn receive(&self) -> io::Result<Option<Message>> {
        self.0
            .async_io(Interest::READABLE, || receive_now(self.0.as_fd()))
            .await
    }
}

fn receive_now(socket: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
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
    bytes.truncate(received.bytes);
    Ok(Some(Message { bytes, descriptor }))
}
