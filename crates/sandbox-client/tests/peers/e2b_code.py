"""The unmodified official SDK against a code interpreter that claims to be E2B's: what code shows, and what becomes of it."""

import base64
import sys
import threading
import time

from e2b import NotFoundException, SandboxException, TimeoutException
from e2b_code_interpreter import Sandbox
from e2b_code_interpreter.charts import BarChart, LineChart, SuperChart

sandbox = Sandbox.create(timeout=600, envs={"OF_MACHINE": "machine"})


def run(code, **options):
    execution = sandbox.run_code(code, **options)
    assert execution.error is None, execution
    return execution


def shown(code):
    (result,) = run(code).results
    return result


def is_png(text):
    return base64.b64decode(text).startswith(b"\x89PNG\r\n\x1a\n")


# A table: as text and HTML, cut short, and whole as data.
table = shown(
    "import pandas as pd\npd.DataFrame({'n': range(100), 'x': [float('nan'), float('inf')] + [0.5] * 98,"
    " 't': pd.to_datetime(['2026-01-02'] * 99 + [None])})"
)
assert table.is_main_result and "..." in table.text, table.text
assert table.html.startswith("<div>") and "<td>99</td>" in table.html, table.html
assert table.data["n"] == list(range(100)), table.data
assert table.data["x"][:3] == [None, None, 0.5], table.data
assert (table.data["t"][0], table.data["t"][99]) == ("2026-01-02T00:00:00", "NaT"), table.data
assert shown("pd.Series([1, 2])").formats() == ["text"]
failure = sandbox.run_code("import decimal; pd.DataFrame({'d': [decimal.Decimal(1)]})").error
assert failure.name == "ValueError" and "Can't clean for JSON" in failure.value, failure

# A picture, and what is in it.
figure = run("import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4], label='a')\nplt.title('T')\nplt.show()").results[0]
assert is_png(figure.png) and not figure.is_main_result and figure.text.startswith("<Figure size"), figure.text
assert isinstance(figure.chart, LineChart) and figure.chart.title == "T", figure.chart
assert [list(point) for point in figure.chart.elements[0].points] == [[1, 3], [2, 4]], figure.chart
# Without being asked for, when the code ends.
bars = shown("_ = plt.bar(['a', 'b'], [1, 2])")
assert isinstance(bars.chart, BarChart) and [bar.value for bar in bars.chart.elements] == [1, 2], bars.chart
both = shown("figure, axes = plt.subplots(2); axes[0].plot([1], [2]); axes[1].plot([3], [4]); None")
assert isinstance(both.chart, SuperChart) and len(both.chart.elements) == 2, both.chart
saved = shown("from PIL import Image; Image.new('RGB', (2, 2)).save('/tmp/picture.png')")
assert is_png(saved.png), saved

# Everything that is displayed, in its order, around what is printed.
execution = run(
    "from IPython.display import *\nprint('first')\ndisplay(HTML('<b>h</b>'))\ndisplay(Markdown('*m*'))\n"
    "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))\ndisplay(Latex('$l$'))\n"
    "display(Javascript('1'))\ndisplay(JSON({'j': 1}))\ndisplay(Image(b'\\xff\\xd8\\xff\\xe0JFIF', format='jpeg'))\n"
    "display({'application/pdf': 'JVBERi0=', 'application/x-own': {'o': 1}}, raw=True)\n'it\\'s last'"
)
results = execution.results
assert [result.is_main_result for result in results] == [False] * 8 + [True], results
assert [list(result.formats())[-1] for result in results] == [
    "html", "markdown", "svg", "latex", "javascript", "json", "jpeg", "application/x-own", "text",
], [list(result.formats()) for result in results]
assert (results[0].html, results[1].markdown, results[3].latex, results[4].javascript) == ("<b>h</b>", "*m*", "$l$", "1")
assert (results[5].json, results[7].pdf, results[7].extra) == ({"j": 1}, "JVBERi0=", {"application/x-own": {"o": 1}})
assert execution.text == "it's last" and execution.logs.stdout == ["first\n"], execution
assert shown("{'a': [1, 2], 3: None}").json == {"a": [1, 2], "3": None}
assert shown("[1, 'two']").json == [1, "two"]
assert shown("print").text == "<function print(*args, sep=' ', end='\\n', file=None, flush=False)>"

# Output as it comes, and which execution it is.
heard = []
execution = run(
    "import sys, time\nprint('one', flush=True)\ntime.sleep(0.5)\nprint('two')\nprint('three', file=sys.stderr)",
    on_stdout=heard.append,
)
assert [message.line for message in heard] == ["one\n", "two\n"], heard
assert execution.logs.stderr == ["three\n"] and heard[0].timestamp, execution
assert run("1").execution_count == execution.execution_count + 1
assert run("%%bash\necho shell").logs.stdout == ["shell\n"]

# Errors.
failure = sandbox.run_code("def inner():\n    raise KeyError('key')\ninner()").error
assert (failure.name, failure.value) == ("KeyError", "'key'"), failure
assert "Traceback (most recent call last)" in failure.traceback and "----> 2" in failure.traceback, failure.traceback
assert "\x1b" not in failure.traceback, failure.traceback
assert sandbox.run_code("1 +").error.name == "SyntaxError"
assert sandbox.run_code("input()").error.name == "StdinNotImplementedError"
assert sandbox.run_code("raise SystemExit(1)").error.name == "SystemExit"

# Variables of one execution, in a line of code before it.
asked = "import os; (os.environ.get('OF_RUN'), os.environ['OF_MACHINE'])"
assert run(asked, envs={"OF_RUN": "run", "OF_MACHINE": "other"}).text == "('run', 'other')"
assert run(asked).text == "(None, 'machine')"
assert sandbox.run_code("1", envs={"OF_RUN": "it's"}).error.name == "SyntaxError"

# Contexts have a state and a folder of their own.
run("x = 1")
(default,) = sandbox.list_code_contexts()
sandbox.files.write("/home/user/notes/note.txt", "here")
context = sandbox.create_code_context(cwd="/home/user/notes")
assert (context.language, context.cwd) == ("python", "/home/user/notes"), context
assert run("open('note.txt').read()", context=context).text == "here"
assert sandbox.run_code("x", context=context).error.name == "NameError"
assert {each.id for each in sandbox.list_code_contexts()} == {default.id, context.id}
run("x = 2", context=context)
sandbox.restart_code_context(context)
execution = sandbox.run_code("x", context=context)
assert (execution.error.name, execution.execution_count) == ("NameError", 1), execution
assert run("x", context=default).text == "1"
sandbox.remove_code_context(context)
try:
    sandbox.run_code("1", context=context)
    sys.exit("code ran in a context that is gone")
except NotFoundException as error:
    assert f"Context {context.id} not found" in str(error), error
try:
    sandbox.create_code_context(language="cobol")
    sys.exit("there is a context of an unknown language")
except SandboxException as error:
    assert "Failed to create context" in str(error), error

# A kernel that dies says so, and another takes its place.
failure = sandbox.run_code("os._exit(1)").error
assert failure.name == "ContextRestarting", failure
# One that is restarted under a program, too.
context = sandbox.create_code_context()
threading.Timer(1, sandbox.restart_code_context, [context]).start()
failure = sandbox.run_code("import time; time.sleep(60)", context=context).error
assert failure.name == "UnexpectedEndOfExecution", failure

# Out of time: the connection is closed, and the program interrupted.
context = sandbox.create_code_context()
try:
    code = "import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    open('/tmp/interrupted', 'w')\n    raise"
    sandbox.run_code(code, context=context, timeout=1)
    sys.exit("code ran beyond its time")
except TimeoutException as error:
    assert "Execution timed out" in str(error), error
until = time.monotonic() + 60
while "interrupted" not in [entry.name for entry in sandbox.files.list("/tmp")]:
    assert time.monotonic() < until, "nobody interrupts it"
    time.sleep(0.2)

# The machine goes under a program.
context = sandbox.create_code_context()
threading.Timer(1, sandbox.kill).start()
try:
    sandbox.run_code("import time; time.sleep(60)", context=context)
    sys.exit("code ran in a machine that is gone")
except TimeoutException as error:
    assert "The sandbox was killed" in str(error), error
print("all as expected")
