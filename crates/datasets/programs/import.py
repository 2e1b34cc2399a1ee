"""Types a dataset once: reads files as people export them, writes one Parquet file a table, describes them.

Runs as a service program inside the sandbox, so a hostile file meets nothing but a jail that dies with it.
`parameters`: {"files": [{"path": "original/orders.csv", "name": "orders.csv"}, ...]}, paths under /data.
Replies {"tables": [...], "as_of": "2025-12-31" or null, "failures": [...]}.

A column gets one type. What does not read as that type becomes empty and is counted. A date format is used
only where every value decides it the same way; where day and month could be swapped, the column stays text.
"""

import io
import json
import os
import re
import unicodedata
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

MAX_ROWS = 10_000_000
MAX_COLUMNS = 1_000
MAX_NAME = 120
MAX_VALUES = 200
MAX_VALUE_CHARS = 200
MAX_SAMPLES = 3
SAMPLE_BYTES = 256 * 1024
# A type is accepted where at least this share of the values reads as it.
ENOUGH = 0.98
MISSING = {"", "-", "--", "n/a", "na", "nan", "null", "none", "nil", "#n/a", "#value!", "#ref!", "#div/0!"}


class Bad(Exception):
    """A file that cannot be read, with what to do about it."""

    def __init__(self, code, message, hint):
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def main():
    tables, failures, taken = [], [], set()
    for file in parameters["files"]:
        try:
            for title, frame, warnings in read(os.path.join(data_dir, file["path"]), file["name"]):
                tables.append(typed(frame, file["name"], title, warnings, taken))
        except Bad as bad:
            failures.append({"file": file["name"], "code": bad.code, "message": bad.message, "hint": bad.hint})
        except MemoryError:
            raise
        except Exception as error:
            failures.append(
                {
                    "file": file["name"],
                    "code": "unreadable",
                    "message": f"it could not be read: {plain(str(error))[:300]}",
                    "hint": "Export it again, as UTF-8 CSV if possible.",
                }
            )
    reply({"tables": tables, "as_of": as_of(tables), "failures": failures})


# === reading ===


def read(path, name):
    """Yields (title, frame of raw cells or of typed columns, warnings) for each table in the file."""
    if os.path.getsize(path) == 0:
        raise Bad("empty", "the file is empty", "Export it again; it has no bytes at all.")
    with open(path, "rb") as stream:
        head = stream.read(SAMPLE_BYTES)
    ending = name.rsplit(".", 1)[-1].lower() if "." in name else ""
    found = kind_of(head)
    wanted = {"csv": "text", "tsv": "text", "txt": "text", "json": "text", "jsonl": "text", "ndjson": "text"}
    expected = wanted.get(ending, ending)
    if found != expected:
        raise Bad(
            "kind_mismatch",
            f"its name says {ending.upper() or 'nothing'}, its bytes say {found}",
            "Rename it to what it is, or export it again in the format you meant.",
        )
    stem = name.rsplit(".", 1)[0]
    if ending == "parquet":
        yield stem, parquet(path), []
    elif ending == "xlsx":
        yield from sheets(path, stem)
    elif ending in ("json", "jsonl", "ndjson"):
        yield stem, records(path), []
    else:
        frame, warnings = separated(path, head, "\t" if ending == "tsv" else None)
        yield stem, frame, warnings


def kind_of(head):
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "xlsx" if b"xl/" in head or b"[Content_Types].xml" in head else "a ZIP archive"
    signatures = {
        b"\xd0\xcf\x11\xe0": "an old or password-protected Office file",
        b"\x89PNG": "a PNG picture",
        b"\xff\xd8\xff": "a JPEG picture",
        b"%PDF": "a PDF document",
        b"\x1f\x8b": "a gzip archive",
        b"SQLite format 3": "a SQLite database",
        b"\x7fELF": "a program",
    }
    for signature, kind in signatures.items():
        if head.startswith(signature):
            return kind
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "text"
    if b"\x00" in head:
        return "binary data"
    return "text"


def parquet(path):
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise Bad("unreadable", f"it is no readable Parquet file: {plain(str(error))[:200]}", "Export it again.")
    check_size(file.metadata.num_rows, file.metadata.num_columns)
    frame = file.read(use_threads=False).to_pandas(use_threads=False)
    return frame.reset_index() if not isinstance(frame.index, pd.RangeIndex) else frame


def sheets(path, stem):
    with zipfile.ZipFile(path) as archive:
        total = sum(entry.file_size for entry in archive.infolist())
        if total > 50 * max(os.path.getsize(path), 1) and total > 1 << 28:
            raise Bad("too_large", "it unpacks to far more than its size", "Export the sheet as CSV.")
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    found = 0
    for sheet in book.worksheets:
        rows = [list(row) for row in sheet.iter_rows(values_only=True) if any(cell is not None for cell in row)]
        if not rows:
            continue
        found += 1
        width = max(map(len, rows))
        check_size(len(rows), width)
        header, *body = [row + [None] * (width - len(row)) for row in rows]
        if not body:
            raise Bad("no_rows", f"sheet {plain(sheet.title)} has a header and no rows", "Add rows, or remove the sheet.")
        require_header([cell if isinstance(cell, str) or cell is None else cell for cell in header])
        frame = pd.DataFrame(body, dtype=object)
        names, warnings = column_names(header)
        frame.columns = names
        title = stem if len(book.worksheets) == 1 else sheet.title
        yield title, frame, warnings
    if found == 0:
        raise Bad("no_rows", "every sheet is empty", "Export it again with its rows.")


def records(path):
    text = decoded(open(path, "rb").read())
    try:
        data = json.loads(text)
    except ValueError:
        try:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise Bad("unreadable", f"it is no JSON: {error}", "Export it as a list of records, or one record a line.")
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        nested = len(lists) == 1 and lists[0] and isinstance(lists[0][0], dict)
        data = lists[0] if nested else data
    if isinstance(data, dict) and data and all(isinstance(value, list) for value in data.values()):
        frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in data.items()})
    elif isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
        frame = pd.json_normalize(data, max_level=2).astype(object)
    elif isinstance(data, (list, dict)) and not data:
        raise Bad("no_rows", "it holds no records", "Export it again with its rows.")
    else:
        raise Bad("unreadable", "it is JSON, but not a table", "Export it as a list of records.")
    check_size(*frame.shape)
    return frame


def separated(path, head, delimiter):
    raw = open(path, "rb").read()
    text = decoded(raw)
    if not text.strip():
        raise Bad("empty", "the file holds only blank space", "Export it again with its rows.")
    delimiter = delimiter or delimiter_of(text)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    if "\n" not in text.strip():
        header_only = not any(character.isdigit() for character in first)
        if header_only:
            raise Bad("no_rows", "it has a header and no rows", "Export it again with its rows.")
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=None,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            skip_blank_lines=True,
            quotechar='"',
            doublequote=True,
            engine="c",
            on_bad_lines="error",
            nrows=MAX_ROWS + 2,
        )
    except pd.errors.ParserError as error:
        raise Bad(
            "unreadable",
            f"its rows do not line up: {plain(str(error))[:200]}",
            "Look at that line; a quote or a separator is missing or too many.",
        )
    check_size(len(frame) - 1, frame.shape[1])
    header = frame.iloc[0].tolist()
    require_header(header)
    if len(frame) < 2:
        raise Bad("no_rows", "it has a header and no rows", "Export it again with its rows.")
    names, warnings = column_names(header)
    body = frame.iloc[1:].reset_index(drop=True)
    body.columns = names
    return body, warnings


def decoded(raw):
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def delimiter_of(text):
    """The separator that splits the first lines into the same number of cells, and into most of them."""
    lines = [line for line in text[:SAMPLE_BYTES].splitlines() if line.strip()][:50]
    best, best_score = ",", 0
    for candidate in (",", ";", "\t", "|"):
        counts = [re.sub(r'"[^"]*"', "", line).count(candidate) for line in lines]
        if not counts or counts[0] == 0:
            continue
        steady = sum(count == counts[0] for count in counts) / len(counts)
        score = steady * 100 + min(counts[0], 50) * 0.1
        if score > best_score:
            best, best_score = candidate, score
    return best


def check_size(rows, columns):
    if columns > MAX_COLUMNS:
        raise Bad("too_many_columns", f"it has {columns:,} columns; {MAX_COLUMNS:,} is the limit", "Remove columns nobody asks about.")
    if rows > MAX_ROWS:
        raise Bad("too_large", f"it has more than {MAX_ROWS:,} rows", "Split it by year.")


def require_header(cells):
    """A first row of numbers and dates is data, not names."""
    named = [cell for cell in cells if isinstance(cell, str) and re.search(r"[^\W\d_]", cell)]
    looks_like_data = [cell for cell in cells if is_valuelike(cell)]
    if not named or len(looks_like_data) > len(cells) / 2:
        raise Bad("no_header", "its first row is not a row of column names", "Add a first row that names the columns.")


def is_valuelike(cell):
    if cell is None or isinstance(cell, str) and not cell.strip():
        return False
    return not isinstance(cell, str) or re.fullmatch(r"[-+€$£]?\s*[\d.,:/-]+%?", cell.strip()) is not None


# === names ===


def plain(text):
    """Without control, direction and format characters."""
    kept = (" " if unicodedata.category(c) in ("Zs", "Zl", "Zp", "Cc") else c for c in text if unicodedata.category(c) not in ("Cf", "Cs", "Co", "Cn"))
    return " ".join("".join(kept).split())


def column_names(header):
    names, warnings, seen = [], [], set()
    for position, cell in enumerate(header, 1):
        given = "" if cell is None else str(cell)
        name = plain(given)[:MAX_NAME]
        base = name or f"column_{position}"
        name, number = base, 2
        while name.lower() in seen:
            name, number = f"{base}_{number}", number + 1
        seen.add(name.lower())
        names.append(name)
        if name != given.strip():
            shown = plain(given)[:40] or "a column without a name"
            warnings.append(warning("renamed_columns", name, f"{shown} is called {name} here", 1))
    return names, warnings


def table_name(title, taken):
    name = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")[:60] or "table"
    if name[0].isdigit():
        name = "t_" + name
    base, number = name, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def count(number, one, many):
    return f"{number:,} {one if number == 1 else many}"


def warning(code, column, message, count):
    return {"code": code, "column": column, "message": message, "count": int(count)}


# === typing ===


def typed(frame, source, title, warnings, taken):
    if len(frame) == 0:
        raise Bad("no_rows", "it has columns and no rows", "Export it again with its rows.")
    if list(frame.columns) != [str(c) for c in frame.columns] or len(set(frame.columns)) != frame.shape[1]:
        names, renamed = column_names(list(frame.columns))
        frame.columns = names
        warnings = warnings + renamed
    table = table_name(title, taken)
    columns, profiles = {}, []
    for name in frame.columns:
        values, profile = column(name, frame[name], warnings)
        columns[name] = values
        profiles.append(profile)
    result = pd.DataFrame(columns)
    settle_roles(profiles, result, warnings)
    duplicates = int(result.duplicated().sum())
    if duplicates:
        warnings.append(warning("duplicate_rows", None, f"{count(duplicates, 'row occurs', 'rows occur')} more than once; all of them are counted", duplicates))
    file = f"{table}.parquet"
    pq.write_table(pa.Table.from_pandas(result, preserve_index=False, nthreads=1), file, compression="zstd")
    where = source if title == source.rsplit(".", 1)[0] else f"{source}, sheet {plain(title)[:60]}"
    return {
        "name": table,
        "source": where,
        "rows": len(result),
        "columns": profiles,
        "warnings": warnings,
        "file": file,
    }


def column(name, raw, warnings):
    """The typed values and the profile of one column."""
    extra = {}
    if raw.dtype == object or isinstance(raw.dtype, (pd.StringDtype, pd.CategoricalDtype)):
        values, kind, unparsed, extra = from_cells(name, raw.astype(object), warnings)
    else:
        values, kind = from_typed(raw)
        unparsed = 0
    if unparsed:
        examples = ", ".join(repr(plain(str(v))[:30]) for v in extra.pop("examples", []))
        warnings.append(
            warning("unparsed_cells", name, f"{count(unparsed, 'cell', 'cells')} of {name} {'is' if unparsed == 1 else 'are'} no {NOUNS[kind]} and {'counts' if unparsed == 1 else 'count'} as empty ({examples})", unparsed)
        )
    extra.pop("examples", None)
    present = values.dropna()
    counts = present.value_counts() if kind in ("text", "boolean") else None
    distinct = len(counts) if counts is not None else int(present.nunique())
    profile = {
        "name": name,
        "type": kind,
        "role": "dimension",
        "nulls": int(len(values) - len(present)),
        "unparsed": unparsed,
        "distinct": distinct,
        "unique": distinct == len(values),
        **extra,
    }
    if kind in ("integer", "decimal", "number") and len(present):
        profile["min"], profile["max"] = number(present.min()), number(present.max())
    if kind in ("date", "datetime") and len(present):
        cut = 10 if kind == "date" else 19
        profile["min"], profile["max"] = present.min().isoformat()[:cut], present.max().isoformat()[:cut]
    if counts is not None and distinct <= MAX_VALUES:
        ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
        profile["values"] = [{"value": str(v)[:MAX_VALUE_CHARS], "count": int(n)} for v, n in ordered]
    profile["samples"] = [sample(cell, kind) for cell in values.head(MAX_SAMPLES)]
    return values, profile


def sample(cell, kind):
    if pd.isna(cell):
        return None
    if kind in ("date", "datetime"):
        return cell.isoformat()[: 10 if kind == "date" else 19]
    if kind in ("integer", "decimal", "number"):
        return str(number(cell))
    return str(cell)[:MAX_VALUE_CHARS]


NOUNS = {"integer": "whole numbers", "decimal": "amounts", "number": "numbers", "date": "dates", "datetime": "times", "boolean": "yes or no", "text": "text"}


def number(value):
    value = value.item() if hasattr(value, "item") else value
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def from_typed(raw):
    """A column that came with a type."""
    kind = raw.dtype.kind
    if kind == "b":
        return raw, "boolean"
    if kind in "iu":
        return raw.astype("int64") if raw.max() < 2**63 else raw.astype(str), "integer" if raw.max() < 2**63 else "text"
    if kind == "M":
        values = raw.dt.tz_localize(None) if raw.dt.tz is not None else raw
        present = values.dropna()
        return values, "date" if (present == present.dt.normalize()).all() else "datetime"
    if kind == "f":
        values = raw.where(np.isfinite(raw))
        whole = values.dropna()
        if len(whole) and (whole == whole.round()).all() and whole.abs().max() < 2**53:
            return values.astype("Int64"), "integer"
        return values.astype("float64"), "number"
    return raw.astype(str).where(raw.notna(), None), "text"


def from_cells(name, raw, warnings):
    """A column of raw cells: texts of a CSV, or the mixed cells of a sheet or of JSON."""
    native = natively_typed(raw)
    if native is not None:
        return native
    texts = raw.map(lambda cell: cell if isinstance(cell, str) else "" if is_none(cell) else json.dumps(cell) if isinstance(cell, (list, dict)) else str(cell))
    codes, uniques = pd.factorize(texts)
    cells = pd.Series(uniques, dtype=object).map(tidy)
    missing = cells.str.lower().isin(MISSING)
    cells = cells.where(~missing, None)
    weights = np.bincount(codes, minlength=len(cells)) if len(cells) else np.array([])

    def widened(values):
        return pd.Series(values.array.take(codes))

    filled = cells.notna()
    total = int(weights[filled.to_numpy()].sum()) if len(cells) else 0
    if total == 0:
        return pd.Series([None] * len(raw), dtype=object), "text", 0, {}
    for reader in (booleans, numbers, dates):
        read_as = reader(name, cells[filled], warnings)
        if read_as is None:
            continue
        values, kind, extra = read_as
        values = values.reindex(cells.index)
        failed = filled & values.isna()
        unparsed = int(weights[failed.to_numpy()].sum())
        if unparsed > total * (1 - ENOUGH):
            continue
        extra["examples"] = cells[failed].head(3).tolist()
        if kind == "boolean":
            values = values.astype("boolean")
        return widened(values), kind, unparsed, extra
    return widened(cells), "text", 0, {}


def natively_typed(raw):
    """Sheets and JSON know numbers and dates; mixtures are read as text."""
    present = raw[~raw.map(is_none)]
    kinds = {type(cell) for cell in present}
    if not kinds or kinds & {str, list, dict}:
        return None
    if kinds == {bool}:
        return raw.map(lambda c: None if is_none(c) else c).astype("boolean"), "boolean", 0, {}
    if kinds <= {int, float}:
        values, kind = from_typed(pd.to_numeric(present).reindex(raw.index).astype("float64"))
        extra = {}
        if kind == "number" and (values.dropna() * 100 % 1).abs().lt(1e-6).all():
            kind, extra = "decimal", {"scale": 2}
        return values, kind, 0, extra
    stamps = pd.to_datetime(present, errors="coerce")
    if stamps.notna().all():
        values, kind = from_typed(stamps.reindex(raw.index))
        return values, kind, 0, {}
    return None


def is_none(cell):
    return cell is None or isinstance(cell, float) and cell != cell


def tidy(cell):
    return unicodedata.normalize("NFC", cell).replace("\u00a0", " ").strip() if isinstance(cell, str) else cell


def booleans(name, cells, warnings):
    lowered = cells.str.lower()
    for true, false in (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("ja", "nein"), ("oui", "non")):
        if set(lowered.unique()) <= {true, false}:
            return lowered.map({true: True, false: False}).astype(object), "boolean", {}
    return None


CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "EUR": "EUR", "USD": "USD", "GBP": "GBP", "CHF": "CHF", "JPY": "JPY", "SEK": "SEK", "NOK": "NOK", "DKK": "DKK", "PLN": "PLN", "CZK": "CZK", "CAD": "CAD", "AUD": "AUD"}
_CURRENCY = "|".join(re.escape(c) for c in CURRENCIES)


def numbers(name, cells, warnings):
    return plain_numbers(cells) or written_numbers(name, cells, warnings)


def plain_numbers(cells):
    """Numbers as computers write them: the common case, and quick."""
    values = pd.to_numeric(cells, errors="coerce")
    if values.isna().any() or not np.isfinite(values).all():
        return None
    if any(re.match(r"[-+]?0\d|.*[^\d.+-]", cell) for cell in cells):
        return None  # a code with leading zeros, an exponent, an underscore
    decimals = max(len(cell.rpartition(".")[2]) if "." in cell else 0 for cell in cells)
    if decimals == 0:
        return (values.astype("Int64"), "integer", {}) if values.abs().max() < 2**53 else None
    if decimals <= 4:
        return values.astype("float64"), "decimal", {"scale": decimals}
    return values.astype("float64"), "number", {}


def written_numbers(name, cells, warnings):
    """Numbers as people write them: with currencies, percent signs, separators, accounting brackets."""
    amounts = cells.str.extract(rf"^(?P<before>(?:{_CURRENCY})?\s*)(?P<sign>[-+(]?)\s*(?P<middle>(?:{_CURRENCY})?)\s*(?P<digits>\d[\d.,' ]*|[.,]\d+)(?P<exponent>[eE][-+]?\d{{1,3}})?\s*(?P<percent>%?)\s*(?P<after>(?:{_CURRENCY})?)(?P<close>\)?)$")
    digits = amounts["digits"].str.strip()
    good = digits.notna() & ((amounts["sign"] == "(") == (amounts["close"] == ")"))
    if good.mean() < 0.5:
        return None
    # 007 is a name, not seven.
    if digits[good].str.fullmatch(r"0\d+").any():
        return None
    decimal_mark = decimal_mark_of(digits[good])
    if decimal_mark is None:
        return None
    other = "," if decimal_mark == "." else "."
    bare = digits.str.replace(r"[' ]", "", regex=True)
    grouped = bare.str.fullmatch(rf"\d{{1,3}}(?:{re.escape(other)}\d{{3}})+(?:{re.escape(decimal_mark)}\d+)?", na=False)
    ungrouped = bare.str.fullmatch(rf"\d*(?:{re.escape(decimal_mark)}\d*)?", na=False)
    good &= grouped | ungrouped
    bare = bare.str.replace(other, "", regex=False).str.replace(decimal_mark, ".", regex=False)
    exponent = amounts["exponent"].fillna("")
    values = pd.to_numeric((bare + exponent).where(good), errors="coerce")
    values = values.where(np.isfinite(values))
    negative = amounts["sign"].isin(["-", "("])
    values = values.where(~negative, -values)
    found = pd.concat([amounts["before"], amounts["middle"], amounts["after"]]).str.strip()
    currencies = {CURRENCIES[c] for c in found.dropna().unique() if c in CURRENCIES}
    if len(currencies) > 1:
        warnings.append(warning("mixed_currencies", name, f"{name} holds amounts in {', '.join(sorted(currencies))}; it is kept as text, since they cannot be added", 0))
        return None
    percent = (amounts["percent"] == "%") & good
    if percent.any() and not percent[good].all():
        return None
    extra = {}
    if percent.any():
        return values / 100, "number", extra
    if currencies:
        extra["currency"] = currencies.pop()
    decimals = bare.where(good).str.extract(r"\.(\d+)$")[0].map(len, na_action="ignore").astype("float64").fillna(0)
    has_exponent = (exponent != "").any()
    if decimals.max() == 0 and not has_exponent and values.abs().max() < 2**53 and not extra:
        return values.astype("Int64"), "integer", extra
    if decimals.max() <= 4 and not has_exponent:
        extra["scale"] = int(decimals.max())
        return values.astype("float64"), "decimal", extra
    return values.astype("float64"), "number", extra


def decimal_mark_of(digits):
    """Which of . and , is the decimal mark; None where the values contradict each other."""
    text = digits.str.replace(r"[' ]", "", regex=True)
    point_last = text.str.contains(r"\.\d*$") & ~text.str.contains(r"\.\d{3}$")
    comma_last = text.str.contains(r",\d*$") & ~text.str.contains(r",\d{3}$")
    both_point = text.str.contains(r",.*\.")
    both_comma = text.str.contains(r"\..*,")
    points, commas = int((point_last | both_point).sum()), int((comma_last | both_comma).sum())
    if points and commas:
        return "." if points > 20 * commas else "," if commas > 20 * points else None
    if commas:
        return ","
    if points:
        return "."
    # Only groups of three behind a mark: 1,234 is a thousand; 1.234 is read as a point, as computers write it.
    return "."


MONTHS = {m: i for i, names in enumerate(("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august", "sep sept september", "oct october", "nov november", "dec december"), 1) for m in names.split()}
_TIME = r"(?:[T ]+(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.\d+)?)?\s*(?P<P>[AaPp][Mm])?(?:Z|[+-]\d{2}:?\d{2})?)?$"
_FORMS = [
    re.compile(r"^(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})" + _TIME),
    re.compile(r"^(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})" + _TIME),
    re.compile(r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})$"),
    re.compile(r"^(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4}|\d{2})" + _TIME),
    re.compile(r"^(?P<d>\d{1,2})[ -](?P<mon>[A-Za-z]{3,9})\.?[ ,-]+(?P<y>\d{4})" + _TIME),
    re.compile(r"^(?P<mon>[A-Za-z]{3,9})\.? (?P<d>\d{1,2}),? (?P<y>\d{4})" + _TIME),
]
_SLASHED = re.compile(r"^(?P<a>\d{1,2})(?P<mark>[/-])(?P<b>\d{1,2})(?P=mark)(?P<y>\d{4}|\d{2})" + _TIME)


def dates(name, cells, warnings):
    sample = cells.head(200)
    for form in _FORMS:
        if matches(sample, form) >= 0.8:
            return stamps(cells.str.extract(form.pattern))
    if matches(sample, _SLASHED) < 0.8:
        return None
    parts = cells.str.extract(_SLASHED.pattern)
    first, second = pd.to_numeric(parts["a"]), pd.to_numeric(parts["b"])
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first == month_first:
        why = "some values can only be day/month and others only month/day" if day_first else "no value tells day and month apart"
        warnings.append(warning("ambiguous_dates", name, f"{name} looks like dates, but {why}; it is kept as text", len(cells)))
        return None
    parts["d"], parts["m"] = (parts["a"], parts["b"]) if day_first else (parts["b"], parts["a"])
    return stamps(parts)


def matches(cells, form):
    """The share of the cells that have this form."""
    return sum(form.match(cell) is not None for cell in cells) / max(len(cells), 1)


def stamps(parts):
    year = pd.to_numeric(parts["y"], errors="coerce")
    year = year.where(year >= 100, year + np.where(year < 70, 2000, 1900))
    month = parts["mon"].str.lower().map(MONTHS) if "mon" in parts else pd.to_numeric(parts["m"], errors="coerce")
    clock = {}
    if "H" in parts:
        hour = pd.to_numeric(parts["H"], errors="coerce").fillna(0)
        afternoon = parts["P"].str.lower().eq("pm") & (hour < 12)
        midnight = parts["P"].str.lower().eq("am") & (hour == 12)
        clock = {
            "hour": hour + 12 * afternoon - 12 * midnight,
            "minute": pd.to_numeric(parts["M"], errors="coerce").fillna(0),
            "second": pd.to_numeric(parts["S"], errors="coerce").fillna(0),
        }
    values = pd.to_datetime(
        {"year": year, "month": month, "day": pd.to_numeric(parts["d"], errors="coerce"), **clock}, errors="coerce"
    )
    if values.notna().mean() < 0.5:
        return None
    timed = "H" in parts and parts["H"].notna().any()
    present = values.dropna()
    return values, "datetime" if timed and not (present == present.dt.normalize()).all() else "date", {}


# === what columns are for ===

_ID = re.compile(r"(^|[_\s-])(id|ids|key|uuid|guid|sku|ean|isbn|iban|nr|no|number|code|ref|zip|postcode|postal|phone|line)($|[_\s-])|(?<=[a-z])(Id|ID|Key|No|Code)$", re.I)
_QUANTITY_NUMBER = re.compile(r"number of|num_|n_|count|qty|quantity", re.I)
_CURRENCY_NAME = re.compile(r"currency|currency_code|\bccy\b", re.I)
_NOT_EVENT = re.compile(r"due|expir|deadline|until|valid|renew|birth|born|dob|target|planned|forecast|next", re.I)


def settle_roles(profiles, frame, warnings):
    for profile in profiles:
        profile["role"] = role(profile, frame)
        if profile["role"] == "currency" and profile["distinct"] > 1:
            codes = ", ".join(v["value"] for v in profile.get("values", [])[:5])
            warnings.append(warning("mixed_currencies", profile["name"], f"amounts are in several currencies ({codes}); they are never added together", profile["distinct"]))
    key = key_of(profiles, frame)
    if key is not None:
        profile, repeated = key
        warnings.append(warning("duplicate_keys", profile["name"], f"{count(repeated, 'value', 'values')} of {profile['name']} {'occurs' if repeated == 1 else 'occur'} more than once; reported, not dropped", repeated))


def role(profile, frame):
    name, kind, rows = profile["name"], profile["type"], len(frame)
    if kind in ("date", "datetime"):
        return "time"
    if kind == "boolean":
        return "dimension"
    named_id = _ID.search(name) is not None and not _QUANTITY_NUMBER.search(name)
    if kind == "text":
        if _CURRENCY_NAME.search(name) and profile["distinct"] <= 200:
            return "currency"
        if named_id:
            return "identifier"
        lengths = frame[name].dropna().astype(str).str.len()
        if len(lengths) and (lengths.mean() > 60 or profile["distinct"] > 0.9 * rows and lengths.mean() > 40):
            return "free_text"
        return "dimension"
    if kind == "integer":
        if named_id:
            return "identifier"
        lowered = name.lower()
        if re.search(r"(^|[_\s])(year|month|quarter|week|day|rank|class|level)($|[_\s])", lowered):
            return "dimension"
    return "measure"


def key_of(profiles, frame):
    """The first identifier, where it almost names rows but some values repeat."""
    for profile in profiles[:1]:
        if profile["role"] != "identifier" or profile["unique"]:
            continue
        repeated = int(frame[profile["name"]].value_counts().gt(1).sum())
        if 0 < repeated <= max(20, 0.01 * len(frame)) and profile["distinct"] > 0.98 * (len(frame) - profile["nulls"]):
            return profile, repeated
    return None


def as_of(tables):
    """The last day something happened, over all tables; due dates and the like are plans, not events."""
    latest = []
    for table in tables:
        for profile in table["columns"]:
            if profile["role"] == "time" and "max" in profile and not _NOT_EVENT.search(profile["name"]):
                latest.append(profile["max"][:10])
    plausible = [day for day in latest if "1900" <= day[:4] <= "2100"]
    return max(plausible, default=None)


main()
