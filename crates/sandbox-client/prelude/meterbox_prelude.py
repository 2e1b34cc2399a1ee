"""What a program finds when it starts, and how its answer leaves: the same in every sandbox.

A program sets `result` (a DataFrame, a Series, one value, a text, or a dict of these) and may set `chart`.
It sees `tables["name"]`, `as_of`, `data_dir`, `pd`, `np` and, where DuckDB is installed, `db`. Files it writes into its
working folder are kept.

The host believes nothing of what leaves here. This module still keeps its own references to whatever it
needs, so that a program that replaces `json.dumps` or `open` only hurts itself.
"""

import builtins
import collections.abc
import datetime
import decimal
import functools
import itertools
import json
import math
import os
import re
import sys
import traceback
import weakref

MAX_ROWS = 10_000
MAX_COLUMNS = 200
MAX_CELL_CHARS = 2_000
MAX_TEXT_CHARS = 100_000
MAX_MESSAGE_CHARS = 2_000
MAX_TRACEBACK_CHARS = 8_000
MAX_WARNINGS = 20
MAX_FIGURES = 10
PROGRAM_NAME = "<program>"
# Where the data is, unless the job says another place.
DATA_DIR = "/data"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_isfinite = math.isfinite
_names_data = re.compile(rf"(?<![\w/]){DATA_DIR}\b").search
_LARGEST = 2**63 - 1
# Pictures that the program has kept itself: where they are, and of which figure.
_kept = {}


def preload():
    """Imports what programs use, once, so that children share it. Leaves the process single-threaded."""
    import importlib

    # Arrow's allocator would start a thread of its own; so would importing `duckdb` itself, which is quick
    # once its library is loaded and is left to the program.
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    for name in ("numpy", "pandas", "matplotlib", "pyarrow", "pyarrow.parquet", "_duckdb", "zoneinfo"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None:
        pyarrow.set_cpu_count(1)
        pyarrow.set_io_thread_count(1)
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].use("Agg")
        _watch_figures()
    # Twice: the interpreter adapts its code to what it has seen before, and a child would have to copy it first.
    for positions in (["a", "b"], [1, 2]):
        rehearse(positions)


def rehearse(positions=("a", "b")):
    """Does what many programs do, with the libraries that are there, and keeps nothing of it."""
    if "matplotlib" in sys.modules:
        _draw(positions)
    if "pandas" in sys.modules:
        _group()


def _group():
    import pandas

    frame = pandas.DataFrame({"key": ["a", "b"], "value": [1.0, 2.0], "day": pandas.to_datetime(["2025-01-01"] * 2)})
    frame.groupby("key")["value"].sum().sort_values()
    frame["day"].dt.to_period("M").astype(str)


def _draw(positions):
    import io

    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.bar(positions, [1, 2])
    axes.set_title("title")
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)


def run(job, send_reply):
    """Runs one job, calls `send_reply` with its one reply, and returns the exit code."""
    reply = _Reply(send_reply, job.get("reply_bytes") or 1 << 20, _data_dir(job))
    run_one = _run_service if job["mode"] == "service" else _run_analysis
    return _answered(reply, lambda: run_one(job, reply))


class Session:
    """Programs that follow one another: what one leaves in its names is there for the next."""

    def __init__(self, job):
        tables = Tables(job)
        self._names = _LastingNames(tables)
        self._names.update(_names_of(job, tables))
        self._data_dir, self._folder, self._programs = _data_dir(job), os.getcwd(), []

    def run(self, cell, send_reply):
        """Runs the next one, as `run` does."""
        self._programs.append(f"<cell {len(self._programs) + 1}>")
        reply = _Reply(send_reply, cell.get("reply_bytes") or 1 << 20, self._data_dir, self._programs)
        return _answered(reply, lambda: self._run(cell, reply))

    def _run(self, cell, reply):
        program = _compiled(cell, self._programs[-1])
        self._names.begin()
        if cell["mode"] == "service":
            self._names.update({"parameters": cell["parameters"], "reply": reply.value})
            exec(program, self._names)
            return
        _begin_pictures(cell["code"])
        exec(program, self._names)
        _reply_with_result(self._names, self._folder, reply)


def _answered(reply, program):
    try:
        program()
    except SystemExit as stop:
        if not reply.sent:
            reply.error("SystemExit", f"the program called exit({stop.code!r}) before it had a result", None)
        return stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:  # whatever it is, it is the program's, and the host wants to know
        if not reply.sent:
            reply.exception(error)
        return 1
    return 0


class _Reply:
    """The one reply of a run. `programs`: the names of those that ran in its place, its own last."""

    def __init__(self, send, limit, data_dir, programs=(PROGRAM_NAME,)):
        self._send, self._limit, self._data_dir, self._programs = send, limit, data_dir, programs
        self.sent = False

    def value(self, value):
        frame = '{"value":' + _encode(value) + "}"
        self._frame(frame.encode("utf-8", "replace"))

    def fits(self, value):
        return len(_encode(value).encode("utf-8", "replace")) + 16 <= self._limit

    def error(self, kind, message, line, trace=""):
        document = {"type": _cut(kind, 200), "message": _cut(message, MAX_MESSAGE_CHARS)}
        document["traceback"], document["line"] = _cut(trace, MAX_TRACEBACK_CHARS), line
        self._frame(('{"error":' + _encode(document) + "}").encode("utf-8", "replace"))

    def exception(self, error):
        trace, line = "", None
        try:
            own = self._programs[-1]
            frames = [f for f in traceback.extract_tb(error.__traceback__, 200) if f.filename in self._programs]
            places = [(f, "" if f.filename == own else f" of {f.filename[1:-1]}") for f in frames[-20:]]
            trace = "".join(f"line {f.lineno}{place}, in {f.name}\n" for f, place in places)
            lines = [f.lineno for f in frames if f.filename == own]
            line = lines[-1] if lines else None
            if isinstance(error, SyntaxError) and error.filename == own:
                line = error.lineno
        except Exception:
            pass  # the error itself still goes out
        self.error(type(error).__name__, _message(error) + self._hint(error), line, trace)

    def _hint(self, error):
        """Where a program looked for its data at the place that it has only in a root of its own."""
        if self._data_dir == DATA_DIR or not _names_data(_text(error)):
            return ""
        return "; in this sandbox the data is not at /data: use `data_dir`, as in f\"{data_dir}/orders.csv\", or `tables`"

    def _frame(self, frame):
        if self.sent:
            raise RuntimeError("a program replies once")
        self.sent = True
        self._send(frame)


def _message(error):
    if isinstance(error, KeyError) and error.args:
        return _text(error.args[0])
    if isinstance(error, SyntaxError):
        return _text(error.msg)
    return _text(error)


def _run_service(job, reply):
    names = {
        "__name__": "__main__",
        "__builtins__": builtins,
        "parameters": job["parameters"],
        "tables": Tables(job),
        "data_dir": _data_dir(job),
        "reply": reply.value,
    }
    exec(_compiled(job), names)


def _run_analysis(job, reply):
    program, folder = _compiled(job), os.getcwd()
    _begin_pictures(job["code"])
    tables = Tables(job)
    names = _Names(tables)
    names.update(_names_of(job, tables))
    exec(program, names)
    _reply_with_result(names, folder, reply)


def _names_of(job, tables):
    names = {"__name__": "__main__", "__builtins__": builtins, "tables": tables, "as_of": _as_of(job)}
    names["data_dir"] = _data_dir(job)
    for short, module in (("pd", "pandas"), ("np", "numpy")):
        if module in sys.modules:
            names[short] = sys.modules[module]
    return names


def _reply_with_result(names, folder, reply):
    """`folder`: where the program began, whichever one it is in now."""
    if "result" not in names or names["result"] is None:
        reply.error("NoResult", "the program ended without setting `result`", None)
        return
    reply.value(_fitting(names["result"], names.get("chart"), folder, reply))


def _compiled(job, name=PROGRAM_NAME):
    # Python takes one mark of byte order at the beginning of a file, and of a text none.
    return compile(job["code"].removeprefix("\ufeff"), name, "exec")


def _data_dir(job):
    return job.get("data_dir") or DATA_DIR


def _as_of(job):
    return datetime.date.fromisoformat(job["as_of"]) if job.get("as_of") else None


class _Names(dict):
    """The program's names; connecting to DuckDB waits until somebody says `db`."""

    def __init__(self, tables):
        self._tables = tables

    def __missing__(self, name):
        if name != "db":
            raise KeyError(name)
        self["db"] = _connect(self._tables)
        return self["db"]


class _LastingNames(_Names):
    """Names that outlive a program, but for `result` and `chart`: each has to set its own. Until it does, `result` is the
    last one's."""

    def begin(self):
        self.pop("chart", None)
        if "result" in self:
            self._last = self.pop("result")

    def __missing__(self, name):
        if name == "result" and hasattr(self, "_last"):
            return self._last
        return super().__missing__(name)


def _connect(tables):
    try:
        import duckdb
    except ImportError:
        raise NameError("this sandbox has no DuckDB; use tables[\"name\"] and pandas") from None
    settings = {
        "threads": 1,
        "memory_limit": "256MB",
        "temp_directory": os.path.join(os.getcwd(), ".duckdb"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    connection = duckdb.connect(config=settings)
    for name in tables:
        path = tables.path(name).replace("'", "''")
        reader = "read_parquet" if path.endswith(".parquet") else "read_csv_auto"
        quoted = name.replace('"', '""')
        connection.execute(f"CREATE VIEW \"{quoted}\" AS SELECT * FROM {reader}('{path}')")
    return connection


class Tables(collections.abc.Mapping):
    """The data, read when it is first asked for. Each program has its own copies."""

    def __init__(self, job):
        folder = _data_dir(job)
        self._paths = {name: os.path.join(folder, path) for name, path in (job.get("tables") or {}).items()}
        self._frames = {}

    def path(self, name):
        return self._paths[name]

    def __getitem__(self, name):
        if name not in self._paths:
            known = ", ".join(sorted(self._paths)) or "none"
            raise KeyError(f"there is no table {name!r}; there are: {known}")
        if name not in self._frames:
            self._frames[name] = _read(self._paths[name])
        return self._frames[name]

    def __iter__(self):
        return iter(self._paths)

    def __len__(self):
        return len(self._paths)


def _read(path):
    import pandas

    if path.endswith(".parquet"):
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path, use_threads=False).to_pandas(use_threads=False)
    types = path[: -len("csv")] + "types.json"
    if path.endswith(".csv") and os.path.exists(types):
        with open(types, encoding="utf-8") as file:
            return _read_typed(path, json.load(file)["columns"])
    return pandas.read_csv(path)


def _read_typed(path, columns):
    """A table as it was in Parquet, from a CSV and the description of its columns."""
    import numpy
    import pandas

    as_text = {"O", "M"}
    kinds = {column["name"]: pandas.api.types.pandas_dtype(column["dtype"]) for column in columns}
    frame = pandas.read_csv(
        path,
        dtype={name: object if kind.kind in as_text else kind for name, kind in kinds.items()},
        na_values={column["name"]: [column["missing"]] for column in columns},
        keep_default_na=False,
        skip_blank_lines=False,
        float_precision="round_trip",
        encoding="utf-8",
    )
    for column in columns:
        name, kind = column["name"], kinds[column["name"]]
        if kind.kind not in as_text:
            continue
        texts = frame[name]
        if kind.kind == "M":
            # Not pandas' own reading: it knows fewer years.
            stamps = texts.fillna("NaT").to_numpy(dtype=str).astype(kind)
            frame[name] = pandas.Series(stamps, index=frame.index)
            continue
        if column.get("escaped"):
            texts = texts.map(_unescaped, na_action="ignore")
        frame[name] = texts.astype(object).where(texts.notna(), None)
    return frame


def _unescaped(text):
    marks = {"\\": "\\", "0": "\0", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: marks[found.group(1)], text)


# === the answer ===


def _fitting(result, chart, folder, reply):
    """The answer document, with fewer rows where all of them would be too much."""
    limit, drawn = MAX_ROWS, _Warnings()
    charts = _charts(chart, folder, drawn)
    while True:
        warnings = _Warnings()
        document = {
            "answer": _answer(result, limit, warnings),
            "charts": charts,
            "warnings": [*warnings.texts, *drawn.texts][:MAX_WARNINGS],
            "doubts": warnings.doubts,
        }
        if limit <= 1 or reply.fits(document):
            return document
        limit //= 2


class _Warnings:
    def __init__(self):
        self.texts, self.doubts = [], []

    def add(self, text):
        self._note(self.texts, text)

    def doubt(self, text):
        """Something that makes the answer unverified."""
        self._note(self.doubts, text)

    def _note(self, notes, text):
        if text not in notes and len(notes) < MAX_WARNINGS:
            notes.append(_cut(text, 500))


def _answer(value, limit, warnings, nested=False):
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return _table(value, limit, warnings)
    if pandas is not None and isinstance(value, pandas.Series):
        name = value.name if value.name is not None else "value"
        frame = value.to_frame(name=name)
        frame.attrs = dict(value.attrs)
        return _table(frame, limit, warnings)
    if isinstance(value, dict) and not nested:
        parts = list(value.items())[:MAX_COLUMNS]
        return {
            "kind": "group",
            "parts": {_cut(_text(name), 200): _answer(part, limit, warnings, True) for name, part in parts},
        }
    if isinstance(value, (list, tuple)) and pandas is not None and not nested:
        return _table(pandas.DataFrame({"value": list(value)}), limit, warnings)
    if isinstance(value, str):
        return {"kind": "text", "text": _cut(value, MAX_TEXT_CHARS)}
    cell = _cell(value, warnings)
    kind = _type_of(value)
    if isinstance(cell, str) and kind == "text":
        return {"kind": "text", "text": _cut(cell, MAX_TEXT_CHARS)}
    return {"kind": "scalar", "value": cell, "type": kind}


def _table(frame, limit, warnings):
    attrs = frame.attrs if isinstance(frame.attrs, dict) else {}
    frame = _with_index(frame)
    if frame.shape[1] > MAX_COLUMNS:
        warnings.add(f"only the first {MAX_COLUMNS} of {frame.shape[1]} columns are kept")
        frame = frame.iloc[:, :MAX_COLUMNS]
    row_count = int(frame.shape[0])
    frame = frame.iloc[:limit]
    names = _unique([_column_name(name) for name in frame.columns])
    columns, cells = [], []
    for position, name in enumerate(names):
        column, values = _column(name, frame.iloc[:, position], attrs, warnings)
        columns.append(column)
        cells.append(values)
    rows = [list(row) for row in zip(*cells)]
    return {
        "kind": "table",
        "columns": columns,
        "rows": rows,
        "row_count": row_count,
        "truncated": len(rows) < row_count,
    }


def _with_index(frame):
    """An index that says something becomes columns."""
    pandas = sys.modules["pandas"]
    index = frame.index
    if isinstance(index, pandas.RangeIndex) or (index.nlevels == 1 and index.name is None and index.dtype.kind in "iu"):
        return frame
    levels = [_text(name) if name is not None else "index" if index.nlevels == 1 else f"level_{i}"
              for i, name in enumerate(index.names)]
    head = pandas.DataFrame({i: index.get_level_values(i) for i in range(index.nlevels)})
    body = frame.reset_index(drop=True)
    joined = pandas.concat([head, body], axis=1)
    joined.columns = [*levels, *[_column_name(name) for name in body.columns]]
    return joined


def _column_name(name):
    if isinstance(name, tuple):
        return " ".join(_text(part) for part in name if _text(part) != "")
    return _text(name)


def _unique(names):
    seen, unique = set(), []
    for name in names:
        name = _cut(name, 200) or "column"
        candidate, number = name, 2
        while candidate in seen:
            candidate, number = f"{name}_{number}", number + 1
        seen.add(candidate)
        unique.append(candidate)
    return unique


def _column(name, series, attrs, warnings):
    scale = _attribute(attrs, "scale", name)
    unit = _attribute(attrs, "units", name)
    values = [_cell(value, warnings) for value in _plain(series)]
    kind = _column_type(series, values)
    if kind == "number" and isinstance(scale, int) and 0 <= scale <= 9:
        kind = "decimal"
        values = [round(value, scale) if isinstance(value, float) else value for value in values]
    column = {"name": name, "type": kind}
    if isinstance(unit, str) and unit:
        column["unit"] = _cut(unit, 40)
    return column, values


def _attribute(attrs, kind, name):
    given = attrs.get(kind)
    return given.get(name) if isinstance(given, dict) else None


def _plain(series):
    """The values as Python objects."""
    pandas = sys.modules["pandas"]
    if isinstance(series.dtype, pandas.CategoricalDtype):
        series = series.astype(object)
    if isinstance(series.dtype, pandas.PeriodDtype):
        series = series.astype(str)
    return series.tolist()


def _column_type(series, values):
    kind = getattr(series.dtype, "kind", "O")
    present = [value for value in values if value is not None]
    if kind == "b" or (present and all(isinstance(value, bool) for value in present)):
        return "boolean"
    if kind in "iu":
        return "text" if any(isinstance(value, str) for value in present) else "integer"
    if kind == "M":
        return "date" if all(len(value) == 10 for value in present) else "datetime"
    if kind == "f":
        return "number"
    if not present:
        return "text"
    raw = [value for value in series.tolist() if not _is_missing(value)]
    types = {_type_of(value) for value in raw}
    if len(types) == 1:
        return types.pop()
    if types <= {"integer", "number"}:
        return "number"
    if types == {"date", "datetime"}:
        return "datetime"
    return "text"


def _type_of(value):
    value = _unboxed(value)
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_LARGEST - 1 <= value <= _LARGEST else "text"
    if isinstance(value, float):
        return "number"
    if isinstance(value, decimal.Decimal):
        return "decimal"
    if isinstance(value, datetime.datetime):
        return "datetime"
    if isinstance(value, datetime.date):
        return "date"
    return "text"


def _unboxed(value):
    """numpy's scalars as Python's own."""
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        try:
            return value.item()
        except Exception:
            return value
    return value


def _is_missing(value):
    pandas = sys.modules.get("pandas")
    if value is None or (pandas is not None and (value is pandas.NA or value is pandas.NaT)):
        return True
    return isinstance(value, float) and value != value


def _cell(value, warnings):
    if _is_missing(value):
        return None
    value = _unboxed(value)
    if value is None or isinstance(value, (bool, str)):
        return _cut(value, MAX_CELL_CHARS) if isinstance(value, str) else value
    if isinstance(value, int):
        return value if -_LARGEST - 1 <= value <= _LARGEST else _cut(_text(value), MAX_CELL_CHARS)
    if isinstance(value, float):
        if not _isfinite(value):
            if value == value:
                warnings.doubt("numbers that are not finite are shown as missing")
            return None
        return value
    if isinstance(value, decimal.Decimal):
        if not value.is_finite():
            return None
        # Written out, an exponent of a billion would be as many digits.
        return _cut(format(value, "f") if -100 < value.adjusted() < 100 else _text(value), MAX_CELL_CHARS)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time.min and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return _cut(_text(value), MAX_CELL_CHARS)


def _text(value):
    try:
        return str(value)
    except BaseException:
        return f"<{type(value).__name__}>"


def _cut(text, limit):
    if not isinstance(text, str):
        text = _text(text)
    # Lone surrogates cannot leave as UTF-8.
    text = text[: limit + 1].encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit else text[: limit - 1] + "…"


# === charts ===

_CHART_WORDS = ("title", "x", "series", "x_title", "y_title", "unit")


def _charts(chart, folder, warnings):
    given = chart if isinstance(chart, (list, tuple)) else [] if chart is None else [chart]
    specs = []
    for one in list(given)[:MAX_FIGURES]:
        if isinstance(one, dict):
            specs.append(_chart(one))
        elif not hasattr(one, "savefig"):
            warnings.add("a chart that is neither a specification nor a figure was left out")
    _save_figures(given, folder, warnings)
    return specs


def _chart(given):
    y = given.get("y", [])
    names = y if isinstance(y, (list, tuple)) else [y]
    spec = {"kind": _text(given.get("kind")), "y": [_cut(name, 200) for name in names[:MAX_COLUMNS]]}
    for word in _CHART_WORDS:
        if given.get(word) is not None:
            spec[word] = _cut(given[word], 200)
    return spec


def _begin_pictures(code):
    _kept.clear()
    if "matplotlib" in code:
        _watch_figures()


def _watch_figures():
    """Notes of which figures a program saves a picture itself: they are not to be among its files twice."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    plain = Figure.savefig
    if hasattr(plain, "__wrapped__"):
        return

    @functools.wraps(plain)
    def savefig(figure, fname, *args, **kwargs):
        saved = plain(figure, fname, *args, **kwargs)
        path = _path_of_picture(figure, fname, kwargs.get("format"))
        if path is not None:
            # Until it is changed, and then it is another.
            figure.stale = False
            _kept[path] = weakref.ref(figure)
        return saved

    Figure.savefig = savefig


def _path_of_picture(figure, fname, kind):
    """Where matplotlib has put it, if that is a file for a PNG."""
    if not isinstance(fname, (str, os.PathLike)):
        return None
    path = os.path.abspath(os.fsdecode(fname))
    suffix = os.path.splitext(path)[1][1:]
    if kind is None and not suffix:
        suffix = figure.canvas.get_default_filetype()
        path = f"{path.rstrip('.')}.{suffix}"
    return path if suffix.lower() == "png" and (kind or suffix).lower() == "png" else None


def _is_kept(figure, folder):
    """Whether its picture is among the program's files, where it was neither removed nor written over by another."""
    if figure.stale:
        return False
    paths = [path for path, of in _kept.items() if of() is figure and os.path.dirname(path) == folder]
    return any(os.path.isfile(path) and not os.path.islink(path) for path in paths)


def _save_figures(given, folder, warnings):
    """Keeps matplotlib's open figures as files, but for those that the program has kept."""
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is None:
        return
    figures = [one for one in given if hasattr(one, "savefig")]
    figures += [plt.figure(number) for number in plt.get_fignums() if plt.figure(number) not in figures]
    figures = [figure for figure in figures if not _is_kept(figure, folder)]
    paths = (os.path.join(folder, f"figure-{number}.png") for number in itertools.count(1))
    # What the program called so itself stays.
    paths = (path for path in paths if path not in _kept)
    for number, (figure, path) in enumerate(zip(figures[:MAX_FIGURES], paths), 1):
        try:
            figure.savefig(path, format="png")
        except Exception as error:
            warnings.add(f"figure {number} could not be drawn: {_text(error)}")
    plt.close("all")
