#!/usr/bin/env python3
"""Makes the shipped price book from two independent price lists and says where they differ.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/pip download --no-deps litellm==1.110.2
    venv/bin/python build.py litellm-1.110.2-*.whl        # writes prices.json and DIFFERENCES.md
    venv/bin/python build.py --check litellm-1.110.2-*.whl  # fails where they are not what it would write

Sources, all MIT: the price file in the wheel of `litellm` (nothing of it is run), `genai-prices`, and for Azure the
retail list in `azure-genai-prices`. Where two of them differ the dearer price is taken, component by component: a
budget that is too careful refuses early, one that is too cheap overspends. Azure's list there is of August 2026, so
that of Azure the later list is taken, and the older one only for what the later one does not have.
"""

import hashlib
import json
import re
import sys
import zipfile
from decimal import Decimal
from datetime import date, datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

import azure_genai_prices as azure
from azure_genai_prices import store as azure_store
from genai_prices.data import providers
from genai_prices.types import StartDateConstraint, TieredPrices, TimeOfDateConstraint

HERE = Path(__file__).resolve().parent
AS_OF = date(2026, 11, 26)
MILLION = Decimal(1_000_000)

#: Our provider, litellm's provider, litellm's prefix, the id at genai-prices.
PROVIDERS = [
    ("openai", "openai", "", "openai"),
    ("azure", "azure", "azure/", None),
    ("anthropic", "anthropic", "", "anthropic"),
    ("google", "gemini", "gemini/", "google"),
    ("mistral", "mistral", "mistral/", "mistral"),
    ("deepseek", "deepseek", "deepseek/", "deepseek"),
    ("groq", "groq", "groq/", "groq"),
    ("together", "together_ai", "together_ai/", "together"),
    ("xai", "xai", "xai/", "x-ai"),
]
#: Only models that are paid by text tokens.
NOT_TEXT = re.compile(
    r"(^ft:|audio|realtime|transcribe|tts|image|live|search|embedding|lyria|voice|video|omni|ocr|guard|veo|robotics"
    r"|deep-research|computer-use|voxtral|whisper|orpheus|moderation|container|:free$|:extended$|^claude-.*@|vision"
    r"|router|^ada$|^babbage|^curie|^davinci|-up-to-|-\d+(\.\d+)?b-\d+(\.\d+)?b$|banana)",
    re.IGNORECASE,
)
COMPONENTS = ["input", "cached", "cache_write", "cache_write_1h", "output", "reasoning"]
LITELLM = {
    "input": "input_cost_per_token",
    "cached": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
    "reasoning": "output_cost_per_reasoning_token",
}
GENAI = {
    "input": "input_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
}
TIERS = {"": "", "_flex": "flex", "_priority": "priority", "_batches": "batch"}
#: The names of the zones in litellm's Azure models.
AZURE_ZONES = {"us": "data_zone", "eu": "data_zone", "apac": "data_zone_apac"}

# A model's prices are {(deployment, tier, above): {component: Decimal}}; "" and 0 stand for the ordinary one.


def decimal(number):
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def text(number):
    plain = format(number.normalize(), "f")
    return plain


# === litellm ===


def litellm_file(wheel):
    with zipfile.ZipFile(wheel) as packed:
        raw = packed.read("litellm/model_prices_and_context_window_backup.json")
    return json.loads(raw), hashlib.sha256(raw).hexdigest()


def litellm_rows(entry):
    rows = {}
    for component, field in LITELLM.items():
        for key, value in entry.items():
            if not key.startswith(field) or not isinstance(value, (int, float)):
                continue
            rest = key[len(field):]
            above = 0
            step = re.match(r"_above_(\d+)k_tokens", rest)
            if step:
                above = int(step.group(1)) * 1000
                rest = rest[step.end():]
            if rest not in TIERS:
                continue
            rows.setdefault(("", TIERS[rest], above), {})[component] = decimal(value) * MILLION
    return complete(rows)


def complete(rows):
    """Drops rows without a price of input and output, after a long-context row got what it does not say."""
    kept = {}
    for (deployment, tier, above), row in rows.items():
        if above:
            row = {**rows.get((deployment, tier, 0), {}), **row}
        if row.get("input") is not None and row.get("output") is not None:
            if row["input"] > 0 or row["output"] > 0:
                kept[(deployment, tier, above)] = sensible(row)
    return kept if ("", "", 0) in kept else {}


def sensible(row):
    """What is cheaper to write to a cache than to read as input is a gap in a list; reasoning is mostly output."""
    kept = dict(row)
    for component in ("cache_write", "cache_write_1h"):
        if kept.get(component) is not None and kept[component] < row["input"]:
            del kept[component]
    if kept.get("reasoning") == row["output"]:
        del kept["reasoning"]
    return kept


# === genai-prices ===


def genai_model(provider, name):
    return next((model for model in provider.models if model.is_match(name)), None)


def genai_periods(model):
    """[(from or None, prices)], oldest first. Of prices by time of day the dearest counts."""
    if not isinstance(model.prices, list):
        return [(None, [model.prices])]
    periods, by_hour = [], []
    for conditional in model.prices:
        constraint = conditional.constraint
        if isinstance(constraint, TimeOfDateConstraint):
            by_hour.append(conditional.prices)
        elif isinstance(constraint, StartDateConstraint):
            periods.append((constraint.start_date, [conditional.prices]))
        else:
            periods.append((None, [conditional.prices]))
    if by_hour:
        periods[-1][1].extend(by_hour)
    return periods


def genai_rows(prices, model, at):
    rows = {}
    for one in prices:
        rows = dearer(rows, genai_rows_of(one, ""))
    noon = datetime(at.year, at.month, at.day, 12, tzinfo=timezone.utc)
    for context, tier in [
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": "priority"}, "priority"),
        ({"processing": "batch"}, "batch"),
        ({"speed": "fast"}, "fast"),
    ]:
        when = [variant for variant in model.price_variants or () if dict(variant.when) == context]
        if when and len(prices) == 1:
            rows.update(genai_rows_of(model.get_prices(noon, context), tier))
    return complete(rows)


def genai_rows_of(prices, tier):
    rows = {("", tier, 0): {}}
    steps = set()
    for field in GENAI.values():
        value = getattr(prices, field)
        if isinstance(value, TieredPrices):
            steps.update(step.start for step in value.tiers)
    for above in [0, *sorted(steps)]:
        row = rows.setdefault(("", tier, above), {})
        for component, field in GENAI.items():
            value = getattr(prices, field)
            if value is None:
                continue
            if isinstance(value, TieredPrices):
                reached = [step.price for step in value.tiers if step.start <= above and above]
                value = reached[-1] if reached else value.base
            row[component] = Decimal(value)
    return rows


# === azure-genai-prices ===


def azure_rows(name):
    """Rows of Azure's retail list: Global, Data Zone and Regional."""
    rows = {}
    for (model, kind, deployment, mode, context), meter in azure_store.get_table().items():
        if model != name or kind not in ("input", "cache_read", "cache_write", "output"):
            continue
        component = {"cache_read": "cached"}.get(kind, kind)
        tier = {"standard": "", "batch": "batch", "priority": "priority"}[mode]
        above = 272_000 if context == "long" else 0
        where = "" if deployment == "global" else deployment
        zones = {where: ["eastus2", None]}
        if where == "data_zone":
            zones = {"data_zone": ["eastus2", "swedencentral"], "data_zone_apac": ["japaneast", "australiaeast"]}
        for zone, regions in zones.items():
            prices = []
            for region in regions:
                try:
                    prices.append(meter.price_for(region) * MILLION)
                except Exception:
                    continue
            if prices:
                rows.setdefault((zone, tier, above), {})[component] = max(prices)
    return {key: row for key, row in complete_each(rows).items()}


def complete_each(rows):
    kept = {}
    for (deployment, tier, above), row in rows.items():
        if above:
            row = {**rows.get((deployment, tier, 0), {}), **row}
        if row.get("input") and row.get("output"):
            kept[(deployment, tier, above)] = row
    return kept


# === both ===


def dearer(left, right):
    rows = {key: dict(row) for key, row in left.items()}
    for key, row in right.items():
        mine = rows.setdefault(key, {})
        for component, price in row.items():
            mine[component] = max(mine.get(component, price), price)
    return rows


def compare(name, left, right, left_name, right_name, told, later=False):
    """Writes down where two lists that both have a row differ. The left one is taken where it is the later one."""
    for key in sorted(left.keys() & right.keys()):
        for component in COMPONENTS:
            one, other = left[key].get(component), right[key].get(component)
            if one is None and other is None or one == other:
                continue
            taken = one if later else max(price for price in (one, other) if price is not None)
            shown = [text(price) if price is not None else "–" for price in (one, other)]
            told.append((name, row_name(key), component, left_name, shown[0], right_name, shown[1],
                         text(taken) if taken is not None else "–"))
    for key in sorted(left.keys() ^ right.keys()):
        has = left_name if key in left else right_name
        hasnt = right_name if key in left else left_name
        told.append((name, row_name(key), "all", has, "has it", hasnt, "–", "as " + has))


def row_name(key):
    deployment, tier, above = key
    words = [word for word in (deployment, tier, f"above {above}" if above else "") if word]
    return " ".join(words) or "ordinary"


def rows_json(rows):
    order = sorted(rows, key=lambda key: (key[0], key[1], key[2]))
    made = []
    for deployment, tier, above in order:
        row = {}
        if deployment:
            row["deployment"] = deployment
        if tier:
            row["tier"] = tier
        if above:
            row["above_input_tokens"] = above
        prices = rows[(deployment, tier, above)]
        row.update({component: text(prices[component]) for component in COMPONENTS if prices.get(component) is not None})
        made.append(row)
    return made


def main():
    check = "--check" in sys.argv
    wheel = next(argument for argument in sys.argv[1:] if not argument.startswith("--"))
    table, digest = litellm_file(wheel)
    told, models = [], {}

    for ours, theirs, prefix, genai_id in PROVIDERS:
        provider = next((one for one in providers if one.id == genai_id), None)
        listed = litellm_models(table, theirs, prefix)
        if ours == "azure":
            listed = with_zones(listed)
        names = dict(listed)
        if provider is not None:
            for model in provider.models:
                known = any(model.is_match(name) for name in listed)
                if not known and not NOT_TEXT.search(model.id) and paid_by_tokens(model):
                    names.setdefault(model.id, {})
        for name in sorted(names):
            if NOT_TEXT.search(name) or (ours == "google" and name.startswith("claude")):
                continue
            periods = periods_of(ours, name, names[name], provider, told)
            if periods:
                models[f"{ours}/{name}"] = periods

    book = {
        "format": 1,
        "name": f"Meterbox {AS_OF}",
        "as_of": str(AS_OF),
        "sources": {
            "litellm": {"version": wheel_version(wheel), "licence": "MIT", "sha256": digest},
            "genai-prices": {"version": version("genai-prices"), "licence": "MIT"},
            "azure-genai-prices": {"version": version("azure-genai-prices"), "licence": "MIT"},
            "e2b": {"licence": "list price", "url": "https://e2b.dev/pricing"},
        },
        "units": units(),
        "models": grouped(models),
    }
    written = {
        "prices.json": compact(book),
        "DIFFERENCES.md": differences(told),
    }
    stale = []
    for name, content in written.items():
        path = HERE / name
        if check and path.read_text(encoding="utf-8") != content:
            stale.append(name)
        if not check:
            path.write_text(content, encoding="utf-8")
    if stale:
        sys.exit(f"build.py would write another {' and '.join(stale)}")
    print(f"{len(book['models'])} models under {sum(1 + len(model.get('also', [])) for model in book['models'])} names,"
          f" {len(told)} differences")


def litellm_models(table, provider, prefix):
    found = {}
    for key, entry in table.items():
        if entry.get("litellm_provider") != provider or entry.get("mode") not in ("chat", "responses", "completion"):
            continue
        if prefix and not key.startswith(prefix):
            continue
        rows = litellm_rows(entry)
        if rows:
            found[key[len(prefix):]] = {"rows": rows, "url": entry.get("source")}
    return found


def with_zones(listed):
    """Azure's zones are models of their own at litellm, and rows of one model here."""
    models = {}
    for name, entry in listed.items():
        zone, _, rest = name.partition("/")
        if rest and zone in AZURE_ZONES:
            base = rest if rest in listed else re.sub(r"-\d{4}-\d{2}-\d{2}$", "", rest)
            if base not in listed:
                continue
            for (_, tier, above), row in entry["rows"].items():
                key = (AZURE_ZONES[zone], tier, above)
                models.setdefault(base, {}).setdefault("rows", {})
                models[base]["rows"] = dearer(models[base]["rows"], {key: row})
        elif not rest:
            models.setdefault(name, {}).setdefault("rows", {})
            models[name]["rows"] = dearer(models[name]["rows"], entry["rows"])
            models[name]["url"] = entry.get("url")
    return models


def paid_by_tokens(model):
    _, prices = genai_periods(model)[-1]
    return prices[-1].input_mtok is not None and prices[-1].output_mtok is not None


def periods_of(ours, name, entry, provider, told):
    rows, url = entry.get("rows", {}), entry.get("url")
    sources = ["litellm"] if rows else []
    if ours == "azure":
        listed = azure_rows(name)
        if listed and any(key[0] == "" for key in listed):
            compare(f"azure/{name}", rows, listed, "litellm", "azure-genai-prices", told, later=True)
            rows = {**listed, **rows}
            sources.append("azure-genai-prices")
        return [period(None, rows, sources, url)] if rows else []
    model = genai_model(provider, name) if provider else None
    if model is None or not paid_by_tokens(model):
        return [period(None, rows, sources, url)] if rows else []
    periods, current = [], None
    timeline = genai_periods(model)
    for begins, prices in timeline:
        if begins is None or begins <= AS_OF:
            current = begins
    for index, (begins, prices) in enumerate(timeline):
        # Variants have dates of their own: each period is looked at on its last day so far.
        ends = timeline[index + 1][0] if index + 1 < len(timeline) else None
        last = (ends or date.max) - timedelta(days=1)
        theirs = genai_rows(prices, model, max(begins or date.min, min(last, AS_OF)))
        if begins == current:
            if rows:
                compare(f"{ours}/{name}", rows, theirs, "litellm", "genai-prices", told)
            theirs = dearer(rows, theirs)
            periods.append(period(begins, theirs, [*sources, "genai-prices"], url))
        elif theirs:
            periods.append(period(begins, theirs, ["genai-prices"], None))
    return [one for one in periods if one["rates"]]


def period(begins, rows, sources, url):
    made = {}
    if begins is not None:
        made["from"] = str(begins)
    made["source"] = " + ".join(sources)
    if url:
        made["url"] = url
    made["rates"] = rows_json(rows)
    return made


def grouped(models):
    """Names with the same prices are one model: the shortest name, and those it is also known by."""
    made = []
    by_prices = {}
    for name, periods in models.items():
        provider = name.split("/", 1)[0]
        stem = re.sub(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$", "", name)
        rates = json.dumps([{**one, "url": None, "source": None} for one in periods], sort_keys=True)
        by_prices.setdefault((provider, stem, rates), []).append(name)
    for (_, _, _), names in by_prices.items():
        names.sort(key=lambda name: (len(name), name))
        model = {"model": names[0]}
        if len(names) > 1:
            model["also"] = names[1:]
        model["prices"] = models[names[0]]
        made.append(model)
    return sorted(made, key=lambda model: model["model"])


def units():
    note = {"source": "e2b", "url": "https://e2b.dev/pricing"}
    imputed = {"source": "e2b", "note": "imputed: nobody bills one's own machine"}
    rate = {"vcpu_second": "0.000014", "gib_second": "0.0000045"}
    made = []
    for place, about in (("local", imputed), ("e2b", note)):
        for name, price in rate.items():
            made.append({"unit": f"sandbox/{place}/{name}", "prices": [{**about, "price": price}]})
    return made


def wheel_version(wheel):
    return Path(wheel).name.split("-")[1]


def compact(book):
    """One rate a line: a change of price is then a change of one line."""
    lines = json.dumps(book, indent=1, ensure_ascii=False).split("\n")
    joined = "\n".join(lines)
    joined = re.sub(r"\{\s+((?:\"(?!rates|prices|models|units|sources|format)[a-z0-9_]+\": (?:\"[^\"]*\"|\d+),?\s*)+)\}",
                    lambda found: "{ " + re.sub(r"\s*\n\s*", " ", found.group(1)).strip() + " }", joined)
    return joined + "\n"


def differences(told):
    lines = [
        "# Where the price lists differ",
        "",
        "Written by `build.py`. Dollars per million tokens. The dearer price is taken, of Azure the later one; a row that",
        "only one list has is taken as it is.",
        "",
        "| model | row | component | list | price | list | price | taken |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {' | '.join(one)} |" for one in told]
    return "\n".join(lines) + "\n"


main()
