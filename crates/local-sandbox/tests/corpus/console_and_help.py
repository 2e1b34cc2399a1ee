# answer: ["3", "tty no", true]
import contextlib
import io
import shutil
import sys

written = io.StringIO()
with contextlib.redirect_stdout(written):
    print(1 + 2)
tty = "tty yes" if sys.stdout.isatty() else "tty no"
width = shutil.get_terminal_size().columns > 0
reply([written.getvalue().strip(), tty, width])
