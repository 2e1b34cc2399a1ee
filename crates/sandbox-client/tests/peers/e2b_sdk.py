"""The unmodified official SDK against a server that claims to be E2B: what it makes of each reply must hold."""

import datetime
import sys

from e2b import CommandExitException, NotFoundException, SandboxQuery
from e2b_code_interpreter import Sandbox

sandbox = Sandbox.create(timeout=120, metadata={"tenant": "acme & sons"}, envs={"GREETING": "hello"})
info = sandbox.get_info()
assert info.metadata["tenant"] == "acme & sons", info
assert info.end_at > info.started_at, info
assert sandbox.is_running()

# The kernel keeps its names, and shows what it is asked to.
assert sandbox.run_code("x = 41; print('hi')").logs.stdout == ["hi\n"]
execution = sandbox.run_code("x + 1")
assert execution.text == "42" and execution.error is None, execution
execution = sandbox.run_code("1 / 0")
assert execution.error.name == "ZeroDivisionError", execution
table = sandbox.run_code("import pandas as pd; pd.DataFrame({'a': [1, 2]})").results[0]
assert table.data["a"] == [1, 2], table
heard = []
sandbox.run_code("print('streamed')", on_stdout=lambda message: heard.append(message.line))
assert heard == ["streamed\n"], heard

# Files, as text and bytes, one and several.
sandbox.files.write("notes/first.txt", "one")
assert sandbox.files.read("/home/user/notes/first.txt") == "one"
sandbox.files.write_files([{"path": "a.bin", "data": b"\x00\xff"}, {"path": "b.txt", "data": "b"}])
assert bytes(sandbox.files.read("a.bin", format="bytes")) == b"\x00\xff"
names = {entry.name: entry for entry in sandbox.files.list("/home/user")}
assert names["a.bin"].size == 2 and names["notes"].type.value == "dir", names
try:
    sandbox.files.read("nowhere.txt")
    sys.exit("a file that is not there was read")
except NotFoundException:
    pass

# Processes.
done = sandbox.commands.run("echo $GREETING; echo oops >&2")
assert (done.stdout, done.stderr, done.exit_code) == ("hello\n", "oops\n", 0), done
try:
    sandbox.commands.run("exit 3")
    sys.exit("a command that failed was well")
except CommandExitException as error:
    assert error.exit_code == 3, error
handle = sandbox.commands.run("sleep 60", background=True)
assert handle.kill()

# The control plane.
before = sandbox.get_info().end_at
sandbox.set_timeout(3600)
assert sandbox.get_info().end_at > before + datetime.timedelta(minutes=10)
again = Sandbox.connect(sandbox.sandbox_id)
assert again.run_code("x").text == "41"
found = Sandbox.list(query=SandboxQuery(metadata={"tenant": "acme & sons"}))
assert [item.sandbox_id for item in found.next_items()] == [sandbox.sandbox_id]
assert sandbox.kill() and not sandbox.kill()
assert not sandbox.is_running()
print("all as expected")
