# Puts asyncio's own ways back, to be let out by its sockets.
# expect: denied
# off: guard seccomp
import asyncio
import select
import socket

worked = []


def make_self_pipe(loop):
    loop._ssock, loop._csock = socket.socketpair()
    worked.append("pair")


asyncio.selector_events.BaseSelectorEventLoop._make_self_pipe = make_self_pipe
try:
    loop = asyncio.new_event_loop()
except OSError:
    pass
try:
    select.epoll().close()
    worked.append("epoll")
except OSError:
    pass

reply("worked" if len(worked) == 2 else "denied")
