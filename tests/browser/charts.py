"""Draws every golden chart with the page's own renderer: `charts.py URL SCREENSHOT_FOLDER`."""

import json
import sys
import tempfile
from pathlib import Path

from window import Window

URL, SCREENSHOTS = sys.argv[1].rstrip("/"), Path(sys.argv[2])
GOLDEN = Path(__file__).parent.parent / "golden" / "charts.json"
WIDTHS = [900, 300]

DRAW = """
    const [golden, width, done] = arguments;
    import("/assets/chart.js").then(async ({ chart }) => {
        document.querySelector("main").style.display = "none";
        document.querySelector("#golden")?.remove();
        const place = document.createElement("div");
        place.id = "golden";
        document.body.append(place);
        for (const { name, spec, answer } of golden) {
            const card = document.createElement("section");
            card.className = "card";
            card.style.width = `${width}px`;
            card.style.padding = "0";
            const heading = document.createElement("h2");
            heading.textContent = name;
            card.append(heading, chart(spec, answer));
            place.append(card);
        }
        await new Promise((drawn) => setTimeout(drawn, 300));
        done(null);
    }).catch((fault) => done(String(fault.stack)));
"""

LOOK = """
    return [...document.querySelectorAll("#golden > .card")].map((card) => {
        const stage = card.querySelector(".stage");
        const box = stage?.getBoundingClientRect();
        const outside = [...card.querySelectorAll(".stage svg *:not(defs, defs *, title)")].filter((drawn) => {
            const { left, right, top, bottom } = drawn.getBoundingClientRect();
            return left < box.left - 3 || right > box.right + 3 || top < box.top - 6 || bottom > box.bottom + 6;
        });
        const numbers = [...card.querySelectorAll("svg *")].flatMap((drawn) => [...drawn.attributes]);
        return {
            name: card.querySelector("h2").textContent,
            marks: card.querySelectorAll(".stage .mark").length,
            says: card.querySelector("figcaption .quiet")?.textContent.trim(),
            label: stage?.getAttribute("aria-label"),
            legend: [...card.querySelectorAll(".legend li")].map((item) => item.textContent),
            note: [...card.querySelectorAll("p.quiet")].map((note) => note.textContent).join(" "),
            cells: [...card.querySelectorAll("table.heat td")].map((cell) => cell.textContent),
            number: card.querySelector(".headline-number")?.textContent.trim(),
            outside: outside.map((drawn) => drawn.outerHTML.slice(0, 120)),
            broken: numbers.filter(({ value }) => /NaN|Infinity|undefined/.test(value)).map(({ name, value }) => `${name}=${value}`),
            foreign: card.querySelectorAll("script, img, iframe, a, b").length,
        };
    });
"""

READ = """
    const stage = document.querySelectorAll("#golden > .card")[arguments[0]].querySelector(".stage");
    stage.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    return stage.parentElement.querySelector(".readout").textContent;
"""


def check(window, golden, seen, at):
    expect = golden["expect"]
    for key in ["says", "legend", "cells", "number"]:
        if key in expect:
            assert seen[key] == expect[key], (key, seen[key], expect[key])
    if "marks" in expect:
        assert seen["marks"] == expect["marks"], seen["marks"]
        assert seen["label"], "the drawing has a text"
    if "note" in expect or "problem" in expect:
        assert expect.get("note", expect.get("problem")) in seen["note"], seen["note"]
    if "problem" in expect:
        assert seen["marks"] == 0, "what cannot be drawn is not drawn"
    if "first" in expect:
        read = window.js(READ, at)
        assert read == expect["first"], read
    assert not seen["broken"], seen["broken"]
    assert not seen["outside"], seen["outside"]
    assert seen["foreign"] == 0, "data became markup"


def main():
    golden = json.loads(GOLDEN.read_text())
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    faults = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Window(profile, SCREENSHOTS) as window:
        for width in WIDTHS:
            window.show(1280, 900)
            window.driver.get(URL)
            fault = window.driver.execute_async_script(DRAW, golden, width)
            assert fault is None, fault
            window.screenshot(f"charts-{width}")
            for at, (wanted, seen) in enumerate(zip(golden, window.js(LOOK))):
                try:
                    check(window, wanted, seen, at)
                except AssertionError as wrong:
                    faults.append(f"{wanted['name']} at {width} px: {wrong}")
        window.note_complaints()
        faults += window.complaints
    assert not faults, "\n".join(faults)
    print(f"{len(golden)} charts are as they should be; screenshots are in {SCREENSHOTS}")


main()
