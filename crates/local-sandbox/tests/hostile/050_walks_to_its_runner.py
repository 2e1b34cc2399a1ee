# Finds the runner's own functions and objects, and answers by them a second time.
# expect: broken-reply | error RuntimeError | reply mine
# off: guard one-reply
# off-expect: believed mine
import gc, os, sys

frame, names = sys._getframe(), []
while frame:
    names += list(frame.f_globals)
    frame = frame.f_back
for thing in gc.get_objects():
    if callable(thing) and getattr(thing, "__name__", "") in ("_send_reply", "send_reply"):
        try:
            thing(b'{"value": "mine"}')
        except OSError:
            pass
for thing in gc.get_objects():
    if type(thing).__name__ == "_Reply":
        thing.sent = False
        try:
            thing.value("mine")
        except Exception:
            pass
os._exit(0)
