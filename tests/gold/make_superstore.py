"""How superstore.csv was made: 2,000 orders of the independent `superstore` package (0.3.2, Apache-2.0).

    python make_superstore.py superstore.csv

The package draws other orders each time whatever its seed, so one drawing is kept beside this file.
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
