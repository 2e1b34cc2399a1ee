"""One child, from where Python may run again to its end: for one program, or for the cells of one session."""

import gc
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
_read, _write, _scan = os.read, os.write, json.JSONDecoder().raw_decode


def run(zygote, state):
    """Never returns."""
    code = 125
    try:
        # Of one that waits they are those of its program from the beginning: only what they lead to is changed.
        _open_streams()
        if state == jail.WARMING:
            _walk(zygote)
            while zygote.jail.seal() == jail.WARMING:
                zygote.prelude.rehearse()
                close_fonts()
                # Of what it has drawn no program is to find anything, or to clear it away.
                gc.collect()
        code = _execute(zygote, _take_job())
    except BaseException:  # The last line of defence: nothing may return into the zygote.
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def learn_the_way(zygote):
    """Walks the way of a program in the zygote, until the interpreter knows it by heart.

    It keeps notes of the names it has looked up and of the code it has run, and what a child would note anew is memory that it
    has to copy first.
    """
    for _ in range(_ROUNDS):
        _open_streams()
        _walk(zygote)


def close_fonts():
    """Matplotlib keeps the files of its fonts open. A zygote's children, who have none of them, would close strangers, and no
    program is to find any open.
    """
    fonts = sys.modules.get("matplotlib.font_manager")
    cached = getattr(fonts, "_get_font", None)
    if hasattr(cached, "cache_clear"):
        cached.cache_clear()


def _walk(zygote):
    """Does once what a program will do, and keeps nothing of it. In a child that waits, its pages are its own then."""
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
    written = os.pipe()
    _write(written[1], json.dumps(job).encode())
    os.close(written[1])
    job = _decode(_read_all(written[0]))
    _seed(job["seed"])
    zygote.prelude.run(job, len)
    if numpy:
        numpy.random.default_rng = kept


def _decode(document):
    """The supervisor's, so there is nothing to check."""
    value, _ = _scan(document.decode())
    return value


def _take_job():
    return _decode(_read_all(_DOCUMENT))


def _read_all(descriptor):
    parts = []
    while part := _read(descriptor, 1 << 16):
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts)


def _execute(zygote, job):
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
