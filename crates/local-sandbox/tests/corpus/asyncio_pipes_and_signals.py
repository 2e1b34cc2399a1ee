# answer: {"read": "one line", "signal": "heard", "loops": 200, "refused": ["connection", "process", "pair"]}
import asyncio
import os
import signal
import socket


async def read():
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb"))
    os.write(theirs, b"one line\n")
    line = await asyncio.wait_for(reader.readline(), 10)
    os.close(theirs)
    return line.decode().strip()


async def hear():
    heard = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(heard.wait(), 10)
    return "heard"


async def refused():
    names = []
    for name, attempt in (
        ("connection", lambda: asyncio.open_connection("127.0.0.1", 80)),
        ("process", lambda: asyncio.create_subprocess_exec("true")),
    ):
        try:
            await attempt()
        except OSError:
            names.append(name)
    try:
        socket.socketpair()
    except OSError:
        names.append("pair")
    return names


async def main():
    return {"read": await read(), "signal": await hear(), "refused": await refused()}


found = asyncio.run(main())
# Each is closed again: more than there may be open files.
for count in range(1, 201):
    asyncio.run(asyncio.sleep(0))
found["loops"] = count
reply(found)
