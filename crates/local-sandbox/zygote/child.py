"""One child, from where Python may run again to its end: for one program, or for the cells of one session."""

import json
import os
import random
import sys
import traceback

from meterbox_zygote import calls, jail

NAMESPACES = (
    calls.CLONE_NEWUSER
    | calls.CLONE_NEWPID
    | calls.CLONE_NEWNS
    | calls.CLONE_NEWNET
    | calls.CLONE_NEWIPC
    | calls.CLONE_NEWUTS
)
_STDIN, _STDOUT, _STDERR, _REPLY, _DOCUMENT = 0, 1, 2, 3, 5
# Reply, set-up, document, and the rules while they are written.
PLACES = range(3, 7)
# After some rounds the interpreter has adapted its code to what it does.
_ROUNDS = 30
# A session's cells come one after the other, and whatever one of them replaces is its own affair.
_read, _write, _decode = os.read, os.write, json.loads


def run(zygote, state):
    """Never returns."""
    code = 125
    try:
        if state == jail.WARMING:
            _warm(zygote)
            zygote.jail.seal()
        with open(_DOCUMENT, "rb", closefd=True) as document:
            job = json.loads(document.read())
        code = _execute(zygote, job)
    except BaseException:  # The last line of defence: nothing may return into the zygote.
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def rehearse(zygote):
    """Walks the way of a program in the zygote, until the interpreter knows it by heart.

    It keeps notes of the names it has looked up and of the code it has run, and what a child would note anew is memory that it
    has to copy first.
    """
    numpy = sys.modules.get("numpy")
    kept = numpy and numpy.random.default_rng
    job = {
        "mode": "analysis",
        "code": "print('')\nresult = 1",
        "parameters": None,
        "tables": {},
        "as_of": None,
        "seed": 0,
        "reply_bytes": 1 << 20,
        "folder": "",
        "data_dir": "/data",
    }
    for _ in range(_ROUNDS):
        with open(os.devnull, "wb", buffering=0) as nobody:
            read = json.loads(json.dumps(job).encode())
            _open_streams()
            _seed(read["seed"])
            zygote.prelude.run(read, nobody.write)
            if numpy:
                numpy.random.default_rng = kept


def _warm(zygote):
    """Walks the way of a program once, so that its pages are this child's own before there is one."""
    job = {"mode": "service", "code": "print()\nreply(None)", "parameters": None, "reply_bytes": 64, "seed": 0}
    _open_streams()
    _seed(0)
    zygote.prelude.run(job, lambda frame: None)
    json.loads(json.dumps(job))


def _execute(zygote, job):
    _open_streams()
    _seed(job["seed"])
    if job["folder"]:
        _move_temporary_files(job["folder"])
    if job["mode"] == "selftest":
        from meterbox_zygote import selftest

        return selftest.run(_send_reply, zygote.tier)
    if job["mode"] == "session":
        return _follow(zygote.prelude.Session(job), job["nonce"])
    code = zygote.prelude.run(job, _send_reply)
    _flush()
    return code if isinstance(code, int) else 1


def _follow(session, nonce):
    """Runs cells as they come. A cell's reply leaves when it has ended: it is what ends it for the supervisor."""
    # No program is to read what is meant for the runner by asking for input.
    cells = os.dup(_STDIN)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, _STDIN)
    os.close(null)
    _send_frame(nonce, b"")
    while length := _receive(cells, 8):
        cell = _decode(_receive(cells, int.from_bytes(length, "little")))
        replies = []
        # Anew, for the last cell may have replaced or closed them.
        _open_streams()
        session.run(cell, replies.append)
        _flush()
        _send_frame(cell["nonce"], replies[0] if replies else b"")
    return 0


def _receive(descriptor, length):
    """So many bytes, or none where no more come."""
    parts = bytearray()
    while len(parts) < length:
        part = _read(descriptor, min(length - len(parts), 1 << 20))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def _send_frame(nonce, reply):
    _send_all(bytes.fromhex(nonce) + len(reply).to_bytes(8, "little") + reply)


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass


def _move_temporary_files(folder):
    """Where there is no root of its own, /tmp is everybody's."""
    import tempfile

    os.environ["HOME"] = tempfile.tempdir = f"{folder}/tmp"


def _open_streams():
    for number, name in ((_STDOUT, "stdout"), (_STDERR, "stderr")):
        stream = open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _seed(seed):
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return
    numpy.random.seed(seed % (1 << 32))
    make, sequence = numpy.random.default_rng, None

    def default_rng(given=None):
        """Numpy's own, except that a generator without a seed follows from the run's."""
        nonlocal sequence
        if given is None:
            sequence = sequence or numpy.random.SeedSequence(seed)
            [given] = sequence.spawn(1)
        return make(given)

    numpy.random.default_rng = default_rng


def _send_reply(frame):
    _send_all(frame)
    os.close(_REPLY)


def _send_all(frame):
    view = memoryview(frame)
    while view:
        view = view[_write(_REPLY, view) :]
