"""Writes 2,000 orders of the independent `superstore` package, always the same kind, as a CSV file.

    python superstore.py FILE
"""

import csv
import sys

import superstore

columns = superstore.superstore(2000, output="dict", seed=42)
if isinstance(columns, list):
    header, rows = list(columns[0]), [list(row.values()) for row in columns]
else:
    header, rows = list(columns), list(zip(*columns.values()))
with open(sys.argv[1], "w", newline="", encoding="utf-8") as stream:
    csv.writer(stream).writerows([header, *rows])
