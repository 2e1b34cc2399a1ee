"""Looks at the page as a person would: `page.py URL SCREENSHOT_FOLDER`.

Steers Chromium by keyboard, compares what the page shows with what the service says, and fails on any
console message, policy report or request to another origin. Run by `cargo test -p meterbox-tests`.
"""

import json
import re
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from window import Window

URL, SCREENSHOTS = sys.argv[1].rstrip("/"), Path(sys.argv[2])
QUESTION = "top 5 products by revenue"
MARKUP = ["<script>document.title = 'harm'</script>", "<img src=x onerror=alert(1)>", "</td></table>", "javascript:alert(1)", "__proto__", "=1+1"]
HOSTILE = f"""words = {MARKUP!r}
print(words[0])
result = pd.DataFrame({{word: words for word in words}})
chart = {{'kind': 'bar', 'x': words[0], 'y': words[1], 'title': words[0], 'unit': words[1]}}
"""
NONSENSE = "flibbertigibbet of the zorblax"
PATIENCE = 180  # seconds; the first answer may have to prepare the sandbox and type the data


class Page(Window):
    """The page in a window, and how a person finds the way in it."""

    def open(self, path="/"):
        self.note_complaints()
        self.driver.get("about:blank")
        self.driver.get(URL + path)
        self.wait("the data is described", lambda: self.all("#data .peek"))
        self.wait("the budget is shown", lambda: self.all("#budget-meter"))

    def wait(self, what, condition, seconds=PATIENCE):
        WebDriverWait(self.driver, seconds, 0.1).until(lambda _: condition(), f"waited in vain until {what}")

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self, selector):
        return self.js("return document.activeElement.matches(arguments[0])", selector)

    def tab_to(self, selector, at_most=80):
        """Reaches an element by the Tab key alone, as somebody without a mouse would."""
        for _ in range(at_most):
            if self.focused(selector):
                outline = self.js("return getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"the focus on {selector} cannot be seen"
                return
            self.press(Keys.TAB)
        raise AssertionError(f"{at_most} presses of Tab never reach {selector}")

    def ended(self):
        return self.one("#progress").get_attribute("hidden") is not None and self.all("#answer > *")

    def shown_answer(self):
        """In one step, since the card may be replaced between two."""
        return self.js("return document.querySelector('#answer .answer')?.dataset.id")

    def scrolls_sideways(self, width):
        # Not innerWidth: a phone zooms out until everything fits.
        return self.js("return document.documentElement.scrollWidth") > width


def api(path, body=None):
    """What the service itself says."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
        return json.load(reply)


def ask_by_keyboard(page, question):
    page.press(Keys.TAB)
    assert page.focused(".skip"), "the first Tab reaches the skip link"
    page.press(Keys.ENTER)
    assert page.focused("#question"), "the skip link leads to the question"
    page.press(question, Keys.ENTER)
    page.wait("the question is answered", page.ended)
    assert page.focused("#answer h2"), "the focus follows to the answer"


def check_table(page):
    """The page's table is the stored result's rows, cell by cell."""
    identity = page.one("#answer .answer").get_attribute("data-id")
    result = api(f"/api/analyses/{identity}")
    assert result["status"] == "ok", result.get("failure") or result["warnings"]
    columns, rows = result["answer"]["columns"], result["answer"]["rows"]
    assert len(rows) == 5, rows
    assert table_values(page) == rows
    assert table_headers(page) == [column["name"] for column in columns]
    for shown, row in zip(table_texts(page), rows):
        for text, value in zip(shown, row):
            assert reads_as(text, value), f"{value!r} is shown as {text!r}"
    return result


def table_values(page):
    cells = "[...row.cells].map((cell) => JSON.parse(cell.dataset.value))"
    return page.js(f"return [...document.querySelectorAll('table.result tbody tr')].map((row) => {cells})")


def table_texts(page):
    cells = "[...row.cells].map((cell) => cell.textContent)"
    return page.js(f"return [...document.querySelectorAll('table.result tbody tr')].map((row) => {cells})")


def table_headers(page):
    return page.js("return [...document.querySelectorAll('table.result th')].map((header) => header.dataset.name)")


def reads_as(text, value):
    """True where a formatted cell says the value, to the decimals it shows."""
    if value is None:
        return text == "empty"
    if isinstance(value, bool) or isinstance(value, str) and not re.fullmatch(r"-?[\d.]+", value):
        return bool(text)
    number = text.replace(",", "")
    decimals = len(number.partition(".")[2])
    return abs(float(number) - float(value)) <= 0.5 * 10**-decimals + 1e-9


def check_budget(page):
    """The bar is what /api/metrics says."""
    page.wait("nothing is set aside any more", lambda: api("/api/metrics")["held"] == 0)
    metrics = api("/api/metrics")
    page.wait("the bar is up to date", lambda: bar(page)["spent"] == metrics["spent"], 30)
    shown = bar(page)
    for name in ["spent", "held", "remaining", "limit"]:
        assert shown[name] == metrics[name], (name, shown, metrics)
    assert shown["max"] == metrics["limit"], shown
    assert abs(shown["value"] - metrics["spent"] - metrics["held"]) < 1e-9, shown
    assert abs(shown["width"] - metrics["spent"] / metrics["limit"]) < 0.01, shown
    left = float(page.one("#budget-remaining").text.replace("$", "").replace(",", ""))
    assert abs(left - metrics["remaining"]) <= 0.005 + 1e-9, (left, metrics)
    assert metrics["spent"] > 0, "the answers so far cost something"


def bar(page):
    return page.js("""
        const meter = document.querySelector("#budget-meter");
        const part = document.querySelector(".part.spent").getBoundingClientRect().width;
        const whole = document.querySelector(".budget-bar").getBoundingClientRect().width;
        const figures = Object.fromEntries(Object.entries(meter.dataset).map(([name, value]) => [name, Number(value)]));
        return { ...figures, max: meter.max, value: meter.value, width: part / whole };
    """)


def check_sorting(page, rows):
    page.tab_to("table.result th:first-child .sort")
    page.press(Keys.ENTER)
    assert page.one("table.result th:first-child").get_attribute("aria-sort") == "ascending"
    names = [row[0] for row in table_values(page)]
    assert sorted(names, key=str.casefold) == names, names
    assert by_name(table_values(page)) == by_name(rows), "sorting neither adds nor loses rows"


def by_name(rows):
    return sorted(rows, key=lambda row: str(row[0]))


def check_chart(page, result):
    """The chart has one tab stop, and the arrow keys read its values."""
    assert result["charts"], "a ranking comes with a chart"
    page.js("document.querySelector('#answer h2').focus()")
    page.tab_to(".chart .stage")
    page.press(Keys.ARROW_RIGHT)
    first = page.one(".readout").text
    assert str(result["answer"]["rows"][0][0]) in first, first
    page.press(Keys.ARROW_RIGHT)
    assert page.one(".readout").text != first
    marks = page.all(".stage .mark")
    assert len(marks) == len(result["answer"]["rows"]), len(marks)


def check_own_program(page):
    page.tab_to("details.program summary")
    page.press(Keys.ENTER)
    page.tab_to("details.program .tools button:nth-of-type(2)")
    page.press(Keys.ENTER)
    assert page.focused("textarea.code"), "editing starts in the program"
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).perform()
    page.press("result = 6 * 7")
    assert page.one("textarea.code").get_attribute("value") == "result = 6 * 7"
    page.tab_to(".program button.primary")
    page.press(Keys.ENTER)
    page.wait("the program ran", lambda: page.all('.headline-number[data-value="42"]'))


def check_refusal(page):
    """A question that cannot be read says what was not understood and offers what can be."""
    page.js("document.querySelector('#question').focus(); document.querySelector('#question').select()")
    page.press(NONSENSE, Keys.ENTER)
    page.wait("the refusal is shown", lambda: page.all('.failure[data-kind="cannot_answer"]'))
    assert page.all(".failure mark"), "the words not understood are marked"
    page.screenshot("refusal-1280")
    page.tab_to(".failure .chip")
    page.press(Keys.ENTER)
    page.wait("the suggestion is answered", lambda: page.all("#answer .answer[data-status='ok']"))


def check_empty_question(page):
    page.js("document.querySelector('#question').focus(); document.querySelector('#question').value = ''")
    page.press(Keys.ENTER)
    assert page.one("#question").get_attribute("aria-invalid") == "true"
    assert page.one("#question-error").text


def check_examples(page):
    chips = [chip.text for chip in page.all("#example-list .chip")]
    assert len(chips) >= 3, chips
    for question in chips:
        result = api("/api/execute", {"query": question})
        assert result["status"] == "ok", (question, result.get("failure"), result["warnings"])


def check_history(page):
    entries = page.all("#history .entry")
    assert len(entries) >= 4, len(entries)
    oldest = entries[-1]
    identity = oldest.get_attribute("data-id")
    oldest.click()
    page.wait("the old answer is open", lambda: page.shown_answer() == identity)
    page.open(f"/#a={identity}")
    page.wait("its address opens it too", lambda: page.all(f'#answer .answer[data-id="{identity}"]'))


def check_hostile_answer(page):
    """Markup in names, cells, titles and output is shown as the text it is."""
    identity = api("/api/execute", {"code": HOSTILE})["id"]
    page.open(f"/#a={identity}")
    page.wait("the hostile answer is open", lambda: page.all(f'#answer .answer[data-id="{identity}"] table.result'))
    foreign = page.js("return document.querySelectorAll('#answer :is(script, img, iframe, object, embed, [onerror], [href^=javascript])').length")
    assert foreign == 0, "an answer became markup"
    names = page.js("return [...document.querySelectorAll('#answer table.result th')].map((head) => head.dataset.name)")
    assert names == MARKUP, names
    cells = page.js("return [...document.querySelectorAll('#answer table.result tbody tr')].map((row) => row.cells[0].textContent)")
    assert cells == MARKUP, cells


def check_narrow(page):
    for width, dark in [(360, False), (360, True), (320, False)]:
        page.show(width, 740, dark)
        page.open()
        page.screenshot(f"idle-{width}{'-dark' if dark else ''}")
        page.check_accessible(f"idle at {width}, {'dark' if dark else 'light'}")
        assert not page.scrolls_sideways(width), f"the page scrolls sideways at {width} px"
        ask_by_keyboard(page, QUESTION)
        for details in page.all("details"):
            page.js("arguments[0].open = true", details)
        time.sleep(0.3)
        page.screenshot(f"answer-{width}{'-dark' if dark else ''}")
        page.check_accessible(f"an open answer at {width}, {'dark' if dark else 'light'}")
        assert not page.scrolls_sideways(width), f"the open answer scrolls sideways at {width} px"
        small = page.js("""
            return [...document.querySelectorAll("button, select, input, summary, .entry")]
                .filter((control) => control.checkVisibility())
                .filter((control) => control.getBoundingClientRect().height < 24)
                .map((control) => control.outerHTML.slice(0, 80));
        """)
        assert not small, f"targets below 24 px: {small}"


def check_without_script(page):
    page.note_complaints()
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.driver.get(URL + "/?")
    assert "meterbox ask" in page.one("body").text, "without JavaScript the page says what to do"
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def check_complaints(page):
    page.note_complaints()
    assert not page.complaints, page.complaints
    # The last two: the browser's own first page, which no page of the web can ask for.
    own = (URL + "/", "data:", "about:", "chrome://", "chrome-untrusted://")
    foreign = [url for url in page.requested if not url.startswith(own)]
    assert not foreign, foreign
    assert len(page.requested) > 20, "the log of requests was read"


def check_unreachable(page):
    """Last, because a browser that is cut off complains on its console."""
    page.show(1280, 900)
    page.open()
    page.driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    page.one("#question").send_keys(QUESTION, Keys.ENTER)
    page.wait("the page says so", lambda: page.all('.failure[data-kind="unreachable"][role="alert"]'), 10)
    assert page.one("#question").get_attribute("value") == QUESTION, "nothing typed is lost"
    page.screenshot("unreachable-1280")


def main():
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        with Page(profile, SCREENSHOTS) as page:
            try:
                look(page)
            except Exception:
                page.screenshot("failed")
                raise
            print(f"without a fault of WCAG 2.2 AA that axe finds: {', '.join(page.accessible) or 'SKIPPED, there is no axe'}")
    print(f"the page is as it should be; screenshots are in {SCREENSHOTS}")


def look(page):
    page.show(1280, 900)
    page.open()
    page.screenshot("idle-1280")
    page.check_that_axe_finds_something()
    page.check_accessible("idle")
    ask_by_keyboard(page, QUESTION)
    page.screenshot("answer-1280")
    page.check_accessible("an answer")
    result = check_table(page)
    check_budget(page)
    check_chart(page, result)
    check_sorting(page, result["answer"]["rows"])
    check_own_program(page)
    check_refusal(page)
    check_empty_question(page)
    check_history(page)
    check_hostile_answer(page)
    check_narrow(page)
    page.show(1280, 900, dark=True)
    page.open()
    page.screenshot("idle-1280-dark")
    page.check_accessible("idle, dark")
    ask_by_keyboard(page, QUESTION)
    page.check_accessible("an answer, dark")
    page.open()
    check_examples(page)
    check_complaints(page)
    check_without_script(page)
    check_unreachable(page)


main()
