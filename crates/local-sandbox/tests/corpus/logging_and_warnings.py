# answer: ["careful\n", 1, "zero"]
import io
import logging
import traceback
import warnings

stream = io.StringIO()
logging.basicConfig(stream=stream, format="%(message)s")
logging.getLogger("x").warning("careful")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warnings.warn("old")
try:
    1 / 0
except ZeroDivisionError:
    text = "zero" if "ZeroDivisionError" in traceback.format_exc() else ""
reply([stream.getvalue(), len(caught), text])
