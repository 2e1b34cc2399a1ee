# answer: []
import importlib

late = [
    "asyncio", "calendar", "cmath", "colorsys", "concurrent.futures.process", "ctypes.util", "doctest", "email.message",
    "html.parser", "http.client", "imaplib", "locale", "matplotlib.animation", "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg", "mpl_toolkits.mplot3d", "multiprocessing", "numpy.ma", "numpy.polynomial",
    "pandas.plotting", "pandas.tseries.holiday", "pdb", "pprint", "pydoc", "sched", "selectors", "shelve", "smtplib",
    "socket", "ssl", "subprocess", "unittest.mock", "urllib.request", "wave", "webbrowser",
    "xmlrpc.client", "encodings.cp1252", "encodings.utf_16", "encodings.idna", "pyarrow.csv", "pyarrow.json",
    "openpyxl.utils.dataframe", "dateutil.parser", "pytz",
]
missing = []
for name in late:
    try:
        importlib.import_module(name)
    except Exception as error:
        missing.append(f"{name}: {error!r}")
reply(missing)
