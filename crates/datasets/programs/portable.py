"""Writes typed tables as CSV, with a description of their columns from which the prelude reads them back exactly: for a
sandbox whose Python cannot read Parquet.

Runs as a service program inside the sandbox. `parameters`: {"tables": {"orders": "typed/orders.parquet", ...}}, paths
under /data. Leaves `orders.csv` and `orders.types.json`; replies {"tables": ["orders", ...]}.

Every cell is between quotes. Times are written as ISO 8601, numbers with as many digits as tell them from all others, and
what is missing as a mark that no cell of its column has.
"""

import csv
import itertools
import json
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

ROWS_AT_ONCE = 100_000
# What a reader of CSV may not give back as it was.
ODD = ("\0", "\r")


def main():
    for name, path in parameters["tables"].items():
        write(name, pq.read_table(os.path.join(data_dir, path), use_threads=False).to_pandas(use_threads=False))
    reply({"tables": list(parameters["tables"])})


def write(name, frame):
    columns = [described(column, frame[column]) for column in frame.columns]
    with open(f"{name}.csv", "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        out.writerow(frame.columns)
        for start in range(0, len(frame), ROWS_AT_ONCE):
            part = frame.iloc[start : start + ROWS_AT_ONCE]
            out.writerows(zip(*(texts(part[column["name"]], column) for column in columns)))
    with open(f"{name}.types.json", "w", encoding="utf-8") as file:
        json.dump({"columns": columns}, file)


def described(name, values):
    kind = str(values.dtype)
    column = {"name": name, "dtype": kind, "missing": ""}
    if values.dtype != object:
        if values.dtype.kind not in "biufM":
            raise TypeError(f"the column {name!r} is of type {kind}")
        return column
    cells = pd.Series(values.dropna().unique(), dtype=object)
    if not cells.map(lambda cell: isinstance(cell, str)).all():
        raise TypeError(f"the column {name!r} holds something else than text")
    column["escaped"] = bool(cells.map(lambda cell: any(odd in cell for odd in ODD)).any())
    taken = set(cells)
    column["missing"] = next(mark for mark in itertools.chain([""], (f"\\N{n}" for n in itertools.count())) if mark not in taken)
    return column


def texts(values, column):
    """The cells of a column as text."""
    missing = values.isna()
    kind = values.dtype.kind
    if kind == "M":
        stamps = values.to_numpy()
        whole_days = (stamps == stamps.astype("datetime64[D]")) | np.isnat(stamps)
        written = np.datetime_as_string(stamps, unit="D" if whole_days.all() else "auto").tolist()
    elif kind == "f":
        written = [repr(float(value)) for value in values.fillna(0.0)]
    elif kind == "O":
        written = values.tolist()
        if column["escaped"]:
            written = [cell and cell.replace("\\", "\\\\").replace("\0", "\\0").replace("\r", "\\r") for cell in written]
    else:
        written = [str(value) for value in values]
    mark = column["missing"]
    return [mark if absent else cell for absent, cell in zip(missing, written)]


main()
