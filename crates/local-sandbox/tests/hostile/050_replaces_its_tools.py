# Replaces what the runner might use after it: its answer still leaves by what was there before.
# expect: reply honest
# off: none, the program only hurts itself
import builtins, io, json, os, sys

def lie(*arguments, **named):
    return "forged"

json.dumps = json.loads = json.JSONEncoder.encode = lie
builtins.open = builtins.len = builtins.isinstance = lie
os.write = os.close = os._exit = lambda *arguments: 0
sys.stdout = sys.stderr = io.StringIO()
sys.excepthook = lie
builtins.memoryview = memoryview
del os.write, os.close, os._exit
from posix import write, close, _exit
os.write, os.close, os._exit = write, close, _exit
reply("honest")
