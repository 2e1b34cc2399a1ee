"""Draws one checked chart of an answer to chart.png. Runs as a service program of ours, in a run of its own.

`parameters`: {"document": an answer document, "index": which of its charts}.
"""

import datetime
import textwrap

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, MaxNLocator

# Okabe and Ito's colours, told apart by people with any kind of colour vision.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#666666"]
INK, GRID = "#1f2933", "#d9dee3"
MAX_CATEGORIES = 30
MAX_SERIES = 8
TITLE_WIDTH = 66

plt.rcParams.update(
    {
        "font.size": 11,
        "font.family": "DejaVu Sans",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GRID,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "text.parse_math": False,
    }
)


def main():
    document = parameters["document"]
    spec = document["charts"][parameters["index"]]
    answer = document["answer"]
    figure, axes = plt.subplots(figsize=(9, 5), dpi=110, layout="constrained")
    if answer["kind"] == "scalar" or spec["kind"] == "number":
        number(axes, spec, answer)
    else:
        table = {c["name"]: [row[i] for row in answer["rows"]] for i, c in enumerate(answer["columns"])}
        units = {c["name"]: c.get("unit") for c in answer["columns"]}
        DRAWERS[spec["kind"]](axes, spec, table, units)
    if spec.get("title"):
        axes.set_title(lines(spec["title"]), pad=12)
    figure.savefig("chart.png")
    reply({"file": "chart.png"})


# === what is drawn ===


def series_of(spec, table):
    """(label, xs, ys) for each series: one a column of `y`, or one a value of the `series` column."""
    xs = table[spec["x"]] if spec.get("x") else list(range(1, len(table[spec["y"][0]]) + 1))
    if not spec.get("series"):
        return [(name, xs, table[name]) for name in spec["y"][:MAX_SERIES]]
    groups = {}
    for x, label, y in zip(xs, table[spec["series"]], table[spec["y"][0]]):
        group = groups.setdefault(text(label), ([], []))
        group[0].append(x)
        group[1].append(y)
    largest = sorted(groups, key=lambda label: -sum(abs(y) for y in groups[label][1] if is_number(y)))
    return [(label, *groups[label]) for label in groups if label in largest[:MAX_SERIES]]


def categories_of(series):
    seen = {}
    for _, xs, _ in series:
        for x in xs:
            seen.setdefault(text(x), None)
    return list(seen)[:MAX_CATEGORIES]


def bar(axes, spec, table, units, stacked=False):
    series = series_of(spec, table)
    categories = categories_of(series)
    horizontal = len(series) == 1 and (len(categories) > 8 or max(map(len, categories), default=0) > 12)
    width = 0.75 if stacked else 0.75 / len(series)
    below = [0.0] * len(categories)
    for number_, (label, xs, ys) in enumerate(series):
        values = dict(zip(map(text, xs), ys))
        heights = [values.get(c) if is_number(values.get(c)) else 0.0 for c in categories]
        offset = 0 if stacked or len(series) == 1 else (number_ - (len(series) - 1) / 2) * width
        places = [i + offset for i in range(len(categories))]
        colour = COLOURS[number_ % len(COLOURS)]
        if horizontal:
            bars = axes.barh(places, heights, height=width, color=colour, label=label)
        else:
            bars = axes.bar(places, heights, width=width, color=colour, label=label, bottom=below if stacked else None)
        if stacked:
            below = [a + b for a, b in zip(below, heights)]
        if len(series) == 1 and len(categories) <= 15:
            axes.bar_label(bars, labels=[figures(h) for h in heights], padding=3, fontsize=9)
    labels = [shorten(c, 28) for c in categories]
    if horizontal:
        axes.set_yticks(range(len(categories)), labels)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: figures(v)))
        axes.grid(axis="x", color=GRID)
        axes.set_xlabel(y_title(spec, units))
        axes.margins(x=0.12)
    else:
        slanted = len(categories) > 6 and max(map(len, labels), default=0) > 5
        axes.set_xticks(range(len(categories)), labels, rotation=35 if slanted else 0, ha="right" if slanted else "center")
        value_axis(axes, spec, units)
        axes.set_xlabel(x_title(spec))
    legend(axes, series)


def stacked_bar(axes, spec, table, units):
    bar(axes, spec, table, units, stacked=True)


def line(axes, spec, table, units, filled=False):
    series = series_of(spec, table)
    dates = all(as_date(x) is not None for _, xs, _ in series for x in xs)
    places = {c: i for i, c in enumerate(dict.fromkeys(text(x) for _, xs, _ in series for x in xs))}
    numeric = all(is_number(x) for _, xs, _ in series for x in xs)
    for number_, (label, xs, ys) in enumerate(series):
        points = [
            (as_date(x) if dates else x if numeric else places[text(x)], y) for x, y in zip(xs, ys) if is_number(y)
        ]
        points.sort(key=lambda point: point[0])
        if not points:
            continue
        at, values = zip(*points)
        colour = COLOURS[number_ % len(COLOURS)]
        axes.plot(at, values, color=colour, label=label, linewidth=2, marker="o" if len(points) <= 40 else None, markersize=4)
        if filled:
            axes.fill_between(at, values, color=colour, alpha=0.25)
    if dates:
        locator = mdates.AutoDateLocator(maxticks=12)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    elif not numeric:
        step = max(1, len(places) // 12)
        shown = [(i, c) for c, i in places.items() if i % step == 0]
        axes.set_xticks([i for i, _ in shown], [shorten(c, 18) for _, c in shown], rotation=35 if len(shown) > 6 else 0)
    value_axis(axes, spec, units)
    axes.set_xlabel(x_title(spec))
    legend(axes, series)


def area(axes, spec, table, units):
    line(axes, spec, table, units, filled=True)


def scatter(axes, spec, table, units):
    series = series_of(spec, table)
    for number_, (label, xs, ys) in enumerate(series):
        points = [(as_date(x) or x, y) for x, y in zip(xs, ys) if (is_number(x) or as_date(x)) and is_number(y)]
        if points:
            at, values = zip(*points)
            axes.scatter(at, values, s=24, alpha=0.7, color=COLOURS[number_ % len(COLOURS)], label=label)
    value_axis(axes, spec, units)
    axes.set_xlabel(x_title(spec))
    legend(axes, series)


def histogram(axes, spec, table, units):
    values = [v for v in table[spec["y"][0]] if is_number(v)]
    axes.hist(values, bins=min(30, max(5, len(set(values)))), color=COLOURS[0], edgecolor="white")
    axes.set_xlabel(y_title(spec, units))
    axes.set_ylabel("count")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: figures(v)))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=GRID)


def pie(axes, spec, table, units):
    label, xs, ys = series_of(spec, table)[0]
    slices = [(text(x), y) for x, y in zip(xs, ys) if is_number(y) and y > 0]
    if len(slices) > 8:
        slices = sorted(slices, key=lambda s: -s[1])
        slices = [*slices[:7], ("other", sum(y for _, y in slices[7:]))]
    if not slices:
        return bar(axes, spec, table, units)
    names, values = zip(*slices)
    axes.pie(
        values,
        labels=[shorten(n, 24) for n in names],
        colors=COLOURS,
        autopct="%1.0f%%",
        startangle=90,
        counterclock=False,
        wedgeprops={"edgecolor": "white"},
    )


def heat_table(axes, spec, table, units):
    rows = list(dict.fromkeys(text(v) for v in table[spec["series"]]))[:MAX_CATEGORIES] if spec.get("series") else spec["y"]
    columns = list(dict.fromkeys(text(v) for v in table[spec["x"]]))[:MAX_CATEGORIES]
    cells = [[float("nan")] * len(columns) for _ in rows]
    for label, xs, ys in series_of(spec, table):
        for x, y in zip(xs, ys):
            if label in rows and text(x) in columns and is_number(y):
                cells[rows.index(label)][columns.index(text(x))] = y
    image = axes.imshow(cells, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(columns)), [shorten(c, 14) for c in columns], rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), [shorten(r, 20) for r in rows])
    axes.figure.colorbar(image, ax=axes, label=y_title(spec, units))


def number(axes, spec, answer):
    unit = spec.get("unit")
    if answer["kind"] == "scalar":
        value, unit = answer["value"], unit or answer.get("unit")
    else:
        names = [c["name"] for c in answer["columns"]]
        value = answer["rows"][0][names.index(spec["y"][0])] if answer["rows"] else None
    axes.axis("off")
    shown = figures(value) if is_number(value) else text(value)
    axes.text(0.5, 0.5, f"{shown} {unit or ''}".strip(), ha="center", va="center", fontsize=44, weight="bold")


DRAWERS = {
    "bar": bar,
    "stacked_bar": stacked_bar,
    "line": line,
    "area": area,
    "scatter": scatter,
    "histogram": histogram,
    "pie": pie,
    "heat_table": heat_table,
}


# === words and numbers ===


def value_axis(axes, spec, units):
    axes.set_ylabel(y_title(spec, units))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: figures(v)))
    axes.grid(axis="y", color=GRID)
    low, high = axes.get_ylim()
    if low > 0 and spec["kind"] in ("bar", "stacked_bar", "area"):
        axes.set_ylim(0, high)


def legend(axes, series):
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=9, ncols=min(4, len(series)), loc="upper left", bbox_to_anchor=(0, 1.02))
        axes.margins(y=0.2)


def x_title(spec):
    return shorten(spec.get("x_title") or spec.get("x") or "", 60)


def y_title(spec, units):
    name = spec.get("y_title") or ", ".join(spec["y"])
    unit = spec.get("unit") or (units.get(spec["y"][0]) if spec["y"] else None)
    return shorten(f"{name} ({unit})" if unit else name, 60)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def as_date(value):
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        return datetime.datetime.fromisoformat(value)
    except ValueError:
        return None


def figures(value):
    if not is_number(value):
        return text(value)
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}"


def text(value):
    return "(none)" if value is None else figures(value) if is_number(value) and not float(value).is_integer() else str(value)


def lines(title):
    """As wide as the picture, and no more than two."""
    return "\n".join(textwrap.wrap(title, TITLE_WIDTH, max_lines=2, placeholder="…"))


def shorten(value, limit):
    value = " ".join(str(value).split())
    return value if len(value) <= limit else value[: limit - 1] + "…"


main()
