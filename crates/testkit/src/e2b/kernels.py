"""Jupyter kernels for the double: each line of standard input asks for something, each of standard output says what a
kernel said, or that what was asked is done."""

import asyncio
import json
import os
import sys
import uuid

packages, program = sys.argv[1:]
# Not where the programs' own files are.
FOLDER = "/tmp/.kernels"
os.makedirs(FOLDER, exist_ok=True)
os.environ["IPYTHONDIR"], os.environ["MPLCONFIGDIR"] = f"{FOLDER}/ipython", f"{FOLDER}/matplotlib"
# After the machine's own packages.
sys.path.append(packages)

from jupyter_client.ioloop import AsyncIOLoopKernelManager
from jupyter_client.kernelspec import KernelSpec
from traitlets.config import Config

ARGUMENTS = [sys.executable, "-c", program, packages, "-f", "{connection_file}"]


def say(**words):
    print(json.dumps(words, default=lambda moment: moment.isoformat()), flush=True)


class Kernel:
    """One kernel, which is started again when it dies, and what listens to it."""

    def __init__(self):
        self.numbers, self.ears, self.client, self.name = {}, [], None, str(uuid.uuid4())
        # No ports: sockets in a folder. A death is found at once, and not after three seconds.
        config = Config({"KernelRestarter": {"time_to_dead": 0.5}})
        place = f"{FOLDER}/{self.name}"
        self.manager = AsyncIOLoopKernelManager(
            transport="ipc", ip=place, connection_file=f"{place}.json", config=config
        )
        self.manager._kernel_spec = KernelSpec(argv=ARGUMENTS, display_name="Python", language="python")

    async def start(self):
        silence = asyncio.subprocess.DEVNULL
        await self.manager.start_kernel(kernel_id=self.name, stdout=silence, stderr=silence)
        self.manager.add_restart_callback(lambda: say(restarts=self.name))
        await self.listen()
        return self.name

    async def restart(self):
        self.forget()
        await self.manager.restart_kernel(now=True)
        await self.listen()

    async def interrupt(self):
        await self.manager.interrupt_kernel()

    async def stop(self):
        self.forget()
        await self.manager.shutdown_kernel(now=True)

    async def run(self, number, code, silent):
        content = {"code": code, "silent": silent, "store_history": True, "user_expressions": {}}
        content |= {"stop_on_error": True, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content)
        self.numbers[message["header"]["msg_id"]] = number
        self.client.shell_channel.send(message)

    async def listen(self):
        self.client = self.manager.client()
        self.client.start_channels(stdin=False, hb=False)
        await self.client.wait_for_ready(timeout=60)
        channels = (self.client.iopub_channel, self.client.shell_channel)
        self.ears = [asyncio.create_task(self.hear(channel)) for channel in channels]

    def forget(self):
        for ear in self.ears:
            ear.cancel()
        self.numbers.clear()
        self.client.stop_channels()

    async def hear(self, channel):
        while True:
            message = await channel.get_msg()
            number = self.numbers.get(message["parent_header"].get("msg_id"))
            if number is not None:
                kind, at = message["msg_type"], message["header"]["date"]
                say(number=number, kind=kind, content=message["content"], at=at)


async def answer(kernels, number, wish, kernel=None, **details):
    """Does what is wished, and says how that went."""
    try:
        if wish == "start":
            made = Kernel()
            kernel = await made.start()
            kernels[kernel] = made
        elif wish == "run":
            return await kernels[kernel].run(number, **details)
        elif wish == "stop":
            await kernels.pop(kernel).stop()
        else:
            await {"restart": Kernel.restart, "interrupt": Kernel.interrupt}[wish](kernels[kernel])
        say(number=number, done=kernel)
    except Exception as error:
        say(number=number, failed=f"{type(error).__name__}: {error}")


async def main():
    kernels, under_way = {}, set()
    lines = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        task = asyncio.create_task(answer(kernels, **json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


asyncio.run(main())
