#!/usr/bin/env python3
"""Computes what many usages cost, by `genai-prices` and not by Meterbox.

    venv/bin/pip install genai-prices==0.2.3
    venv/bin/python fixtures.py            # writes usages.json

Each component is priced by the library's own function, exactly, and checked to add up to the library's total. Then it
is rounded up to the nano-dollar, once a line, which is Meterbox's rule. The shipped book is only looked at to leave
out prices for which another list was taken (they are in DIFFERENCES.md).
"""

import json
import random
import re
from datetime import datetime, timezone
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from pathlib import Path

from genai_prices import Usage
from genai_prices.data import providers
from genai_prices.types import TieredPrices, TimeOfDateConstraint, calc_unit_price

HERE = Path(__file__).resolve().parent
BOOK = json.loads((HERE.parent.parent / "data" / "prices.json").read_text(encoding="utf-8"))
PROVIDERS = {
    "openai": "openai", "anthropic": "anthropic", "google": "google", "mistral": "mistral", "deepseek": "deepseek",
    "groq": "groq", "together": "together", "xai": "x-ai",
}
CONTEXTS = {
    "": {}, "flex": {"service_tier": "flex"}, "priority": {"service_tier": "priority"},
    "batch": {"processing": "batch"}, "fast": {"speed": "fast"},
}
FIELDS = {
    "input": "input_mtok", "cached": "cache_read_mtok", "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok", "output": "output_mtok",
}
KEYS = {
    "cached": "cache_read_tokens", "cache_write": "cache_write_tokens", "cache_write_1h": "cache_write_1h_tokens",
    "output": "output_tokens",
}
NANO = Decimal("0.000000001")


def periods(model):
    """The times to look at a model: before and after each change of price that is no time of day."""
    times = ["2026-11-26T12:00:00+00:00"]
    if isinstance(model.prices, list):
        if any(isinstance(one.constraint, TimeOfDateConstraint) for one in model.prices):
            return []
        for one in model.prices:
            if one.constraint is not None:
                times += [f"{one.constraint.start_date}T00:00:00+00:00"]
    return sorted(set(times))


def row_of(book_model, at, tier, tokens):
    begun = [one for one in book_model["prices"] if one.get("from", "0000") <= at[:10]]
    rows = [row for row in begun[-1]["rates"] if not row.get("deployment") and row.get("tier", "") == tier]
    rows = [row for row in rows if row.get("above_input_tokens", -1) < tokens]
    return max(rows, key=lambda row: row.get("above_input_tokens", -1), default=None)


def rate(price, total):
    if isinstance(price, TieredPrices):
        reached = [step.price for step in price.tiers if step.start < total]
        return reached[-1] if reached else price.base
    return price


def usages(chance):
    yield {"input": 1, "output": 1}
    yield {"input": 1_234, "output": 567}
    total = chance.randrange(2_000, 90_000)
    yield {"input": total, "cached": total // 3, "output": chance.randrange(1, 9_000)}
    total = chance.randrange(2_000, 90_000)
    write = total // 4
    yield {"input": total, "cached": total // 5, "cache_write": write, "output": chance.randrange(1, 9_000)}
    yield {"input": 272_000, "output": 4_001}
    total = chance.randrange(272_001, 900_000)
    yield {"input": total, "cached": total // 7, "output": chance.randrange(1, 99_000)}


def priced(prices, usage):
    """Lines of exact price, or None where this list has no price for a part of the usage."""
    total = usage["input"]
    parts = {
        "input": total - usage.get("cached", 0) - usage.get("cache_write", 0),
        "cached": usage.get("cached", 0), "cache_write": usage.get("cache_write", 0), "output": usage["output"],
    }
    lines, exact = {}, Decimal(0)
    for component, count in parts.items():
        if not count:
            continue
        price = getattr(prices, FIELDS[component])
        if price is None:
            return None
        amount = calc_unit_price(price, count, total, 1_000_000)
        exact += amount
        lines[component] = (count, amount)
    reported = {"input_tokens": total, "output_tokens": usage["output"]}
    reported.update({KEYS[name]: usage[name] for name in ("cached", "cache_write") if usage.get(name)})
    whole = prices.calc_price(Usage(**reported))["total_price"]
    assert whole == exact, (whole, exact, usage)
    return lines


def agrees(prices, row, usage):
    return all(
        rate(getattr(prices, FIELDS[component]), usage["input"]) == Decimal(row.get(component, "-1"))
        for component in ("input", "output", "cached", "cache_write")
        if component in ("input", "output") or usage.get(component)
    )


def main():
    chance = random.Random(20261126)
    made, differing = [], 0
    for book_model in BOOK["models"]:
        ours, _, name = book_model["model"].partition("/")
        provider = next((one for one in providers if one.id == PROVIDERS.get(ours)), None)
        model = provider and next((one for one in provider.models if one.is_match(name)), None)
        if not model:
            continue
        for at in periods(model):
            for tier, context in CONTEXTS.items():
                variants = [one for one in model.price_variants or () if dict(one.when) == context]
                if tier and not variants:
                    continue
                moment = datetime.fromisoformat(at)
                prices = model.get_prices(moment, context or None)
                if prices.input_mtok is None or prices.output_mtok is None:
                    continue
                for usage in usages(chance):
                    row = row_of(book_model, at, tier, usage["input"])
                    lines = priced(prices, usage)
                    if lines is None:
                        continue
                    if row is None or not agrees(prices, row, usage):
                        differing += 1
                        continue
                    if tier == "" and at.startswith("2026-11-26") and chance.random() > 0.35 and "cached" not in usage:
                        continue
                    made.append({
                        "model": book_model["model"], "at": at.replace("+00:00", "Z"), "tier": tier, "usage": usage,
                        "lines": {
                            component: [count, int((amount / NANO).to_integral_value(ROUND_CEILING))]
                            for component, (count, amount) in lines.items()
                        },
                    })
    # The rare ones stay; of the common ones a sample is enough.
    rare = [one for one in made if one["tier"] or not one["at"].startswith("2026-11-26") or "cache_write" in one["usage"]
            or one["usage"]["input"] > 200_000]
    common = [one for one in made if one not in rare]
    rare = rare if len(rare) <= 700 else chance.sample(rare, 700)
    common = chance.sample(common, min(len(common), 250))
    kept = sorted(rare + common, key=lambda one: (one["model"], one["at"], one["tier"], json.dumps(one["usage"])))
    head = {"made_by": f"genai-prices {version('genai-prices')}", "left_out_as_priced_otherwise": differing}
    body = ",\n".join("  " + json.dumps(one) for one in kept)
    text = json.dumps(head)[:-1] + ',\n "usages": [\n' + body + "\n ]}\n"
    (HERE / "usages.json").write_text(text, encoding="utf-8")
    print(len(kept), "usages,", differing, "left out;", len({one["model"] for one in kept}), "models")
    for what in ("cached", "cache_write"):
        print(what, sum(what in one["usage"] for one in kept))
    print("tiers", {tier: sum(one["tier"] == tier for one in kept) for tier in CONTEXTS},
          "dated", sum(not one["at"].startswith("2026-11-26") for one in kept),
          "long", sum(one["usage"]["input"] > 200_000 for one in kept))


main()
