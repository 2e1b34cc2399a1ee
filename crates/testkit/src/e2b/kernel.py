"""A kernel for the double: reads a JSON text of code a line, writes events a line. Keeps its names between them."""

import ast
import contextlib
import io
import json
import sys
import traceback

out, names, count = sys.stdout, {"__name__": "__main__"}, 0


def say(**event):
    out.write(json.dumps(event) + "\n")
    out.flush()


class Heard(io.TextIOBase):
    """Says whole lines, and the rest at the end."""

    def __init__(self, kind):
        self.kind, self.text = kind, ""

    def write(self, text):
        self.text += text
        if text.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self):
        if self.text:
            text, self.text = self.text, ""
            say(type=self.kind, text=text, timestamp="2026-11-26T12:00:00.000000+00:00")


def shown(value):
    result = {"text": repr(value), "extra": {}, "is_main_result": True}
    if isinstance(value, str):
        result["text"] = value
    if isinstance(value, (dict, list)):
        result["json"] = value
    if hasattr(value, "_repr_html_") and value._repr_html_():
        result["html"] = value._repr_html_()
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        result["data"] = value.to_dict(orient="list")
    return result


for line in sys.stdin:
    count += 1
    say(type="number_of_executions", execution_count=count)
    try:
        tree = ast.parse(json.loads(line), "<cell>")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        heard = [Heard("stdout"), Heard("stderr")]
        with contextlib.redirect_stdout(heard[0]), contextlib.redirect_stderr(heard[1]):
            exec(compile(tree, "<cell>", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None
            for stream in heard:
                stream.flush()
        if value is not None:
            say(type="result", **shown(value))
    except BaseException as error:
        say(type="error", name=type(error).__name__, value=str(error), traceback=traceback.format_exc())
    say(type="end_of_execution")
