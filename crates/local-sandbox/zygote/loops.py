"""Event loops without sockets: programs may use `asyncio`, and none may make a socket.

A loop of asyncio wakes itself through a pair of connected sockets and waits by epoll, both of which the filter refuses.
Here it has a pipe and `poll`, which are allowed anyway, so nothing more has to be let through. A program that puts the old
ways back gets the filter's refusal.
"""

import asyncio.selector_events
import os
import selectors


def take_pipes():
    """For every loop that is made from now on."""
    asyncio.selector_events.BaseSelectorEventLoop._make_self_pipe = _make_self_pipe
    selectors.DefaultSelector = selectors.PollSelector


def _make_self_pipe(loop):
    loop._ssock, loop._csock = map(_End, os.pipe())
    loop._internal_fds += 1
    loop._add_reader(loop._ssock.fileno(), loop._read_from_self)


class _End:
    """One end of a pipe, as far as a loop uses its sockets."""

    def __init__(self, descriptor):
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def fileno(self):
        return self._descriptor

    def recv(self, size):
        return os.read(self._descriptor, size)

    def send(self, data):
        return os.write(self._descriptor, data)

    def close(self):
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    __del__ = close
