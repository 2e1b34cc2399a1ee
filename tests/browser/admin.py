"""Looks at the administrator's page: `admin.py URL SCREENSHOT_FOLDER`, against a fresh data folder.

Makes the first key on the page, administers budgets and keys, and checks with the API that what the page shows is so.
"""

import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from window import Window

URL, SCREENSHOTS = sys.argv[1].rstrip("/"), Path(sys.argv[2])
PATIENCE = 120  # seconds; the first answer may have to prepare the sandbox
WIDTHS = [(1280, False), (1280, True), (360, False), (360, True)]


class Page(Window):
    def open(self, path):
        self.note_complaints()
        self.driver.get("about:blank")
        self.driver.get(URL + path)

    def wait(self, what, condition, seconds=PATIENCE):
        WebDriverWait(self.driver, seconds, 0.1).until(lambda _: condition(), f"waited in vain until {what}")

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def fill(self, values):
        for name, value in values.items():
            field = self.one(f"#{name}")
            field.clear()
            field.send_keys(value)

    def submit(self, form):
        """As the Enter key does."""
        self.one(f"#{form} input").send_keys(Keys.ENTER)

    def press(self, row, verb):
        """The button of a table's row."""
        button = self.js("""
            const row = [...document.querySelectorAll("tr")].find((row) => row.textContent.includes(arguments[0]));
            return [...(row?.querySelectorAll("button") ?? [])].find((button) => button.textContent.startsWith(arguments[1]));
        """, row, verb)
        assert button, f"no button {verb} beside {row}"
        button.send_keys(Keys.ENTER)

    def confirm(self):
        self.wait("it asks first", lambda: self.all("dialog[open] button[value=yes]"))
        assert self.js("return document.activeElement.value") == "no", "the harmless answer has the focus"
        self.one("dialog[open] button[value=yes]").send_keys(Keys.ENTER)
        self.wait("the question is gone", lambda: not self.all("dialog"))

    def sign_in(self, key):
        self.wait("it asks for a key", lambda: self.all("#sign-in #key"))
        assert not self.one("main").is_displayed(), "nothing is shown before"
        self.one("#key").send_keys(key, Keys.ENTER)


def call(method, path, key=None, body=None):
    """Status and JSON, past the page."""
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(URL + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
            return reply.status, json.loads(reply.read() or "null")
    except urllib.error.HTTPError as fault:
        return fault.code, json.loads(fault.read())


def make_first_key(page):
    page.open("/admin")
    page.wait("it says that there are no keys", lambda: "There are no keys" in page.text("#keys"))
    page.screenshot("admin-fresh-1280")
    page.check_accessible("administration without keys")
    page.fill({"key-name": "the boss", "key-scopes": "user/boss org/acme"})
    page.submit("key-form")
    page.wait("the key is shown", lambda: page.all("#new-key-secret"))
    key = page.text("#new-key-secret")
    assert key.startswith("mbx_") and len(key) == 66, key
    page.screenshot("admin-new-key-1280")
    page.check_accessible("a new key")
    assert call("GET", "/api/session")[0] == 401, "from the first key on, one is needed"
    status, who = call("GET", "/api/session", key)
    assert (status, who["principal"], who["role"]) == (200, "user/boss", "admin"), who
    page.wait("the page goes on, signed in", lambda: "user/boss" in page.text("#who"))
    return key


def check_nothing_is_kept(page, key):
    page.open("/admin")
    page.wait("the keys are listed", lambda: "the boss" in page.text("#keys"))
    assert key not in page.driver.page_source, "shown once"
    kept = page.js("return [document.cookie, localStorage.length, sessionStorage.length]")
    assert kept == ["", 0, 0], kept


def check_budgets(page, key):
    page.one("#budget-details summary").click()
    page.fill({"scope": "org/acme", "limit": "20"})
    page.submit("budget-form")
    page.wait("the budget is listed", lambda: "org/acme" in page.text("#budgets table"))
    page.press("org/acme", "Edit")
    page.fill({"limit": "25,5"})
    page.submit("budget-form")
    page.wait("the limit is changed", lambda: "$25.50" in page.text("#budgets table"))
    page.press("org/acme", "Edit")
    # Somebody else changes another part while the form is open.
    assert call("PUT", "/api/budget", key, {"scope": "org/acme", "limit": 24})[0] == 200
    page.fill({"carry": "3"})
    page.submit("budget-form")
    page.wait("both are kept", lambda: "$24.00" in page.text("#budgets table"))
    assert {one["scope"]: one for one in call("GET", "/api/budget", key)[1]["budgets"]}["org/acme"]["carry_over"] == 3
    assert call("PUT", "/api/budget", key, {"scope": "org/acme", "limit": 25.5})[0] == 200
    page.press("org/acme", "Top up")
    page.fill({"top-up-amount": "4.5", "top-up-note": "a busy day"})
    page.submit("top-up-form")
    page.wait("it is topped up", lambda: "$30.00" in page.text("#budgets table"))
    budgets = {one["scope"]: one for one in call("GET", "/api/budget", key)[1]["budgets"]}
    acme = budgets["org/acme"]
    assert (acme["limit"], acme["status"]["limit"]) == (25.5, 30), acme

    page.js("document.querySelector('#budget-details').open = true")
    page.fill({"scope": "nonsense", "limit": "1"})
    page.submit("budget-form")
    page.wait("it says what is wrong", lambda: "kind/id" in page.text("#budget-form .field-error"))
    page.fill({"scope": "team/gone", "limit": "1"})
    page.submit("budget-form")
    page.wait("another is listed", lambda: "team/gone" in page.text("#budgets table"))
    page.press("team/gone", "Remove")
    page.confirm()
    page.wait("it is gone", lambda: "team/gone" not in page.text("#budgets table"))
    assert "as DEFAULT_BUDGET_LIMIT says" in page.text("#budgets table"), "settings say so"
    page.press("user/*", "Edit")
    page.fill({"limit": "12"})
    page.submit("budget-form")
    page.wait("an edit of a setting's budget says so", lambda: "edited; DEFAULT_BUDGET_LIMIT says $10.00" in page.text("#budgets table"))


def check_spending(page, key):
    page.open("/")
    page.wait("the data is described", lambda: page.all("#data .peek"))
    page.one("#question").send_keys("top 5 products by revenue", Keys.ENTER)
    page.wait("there is an answer", lambda: page.all("#answer .answer"))
    page.open("/admin")
    page.wait("who spent is listed", lambda: "user/boss" in page.text("#spending"))
    spending = call("GET", "/api/spending", key)[1]
    assert spending["total"]["spent"] > 0, spending
    for part in ["by_person", "by_group", "by_purpose"]:
        for row in spending[part]:
            assert row["name"] in page.text("#spending"), row
    page.wait("the forecast is there", lambda: "an hour" in page.text("#budgets table"))


def check_kill_switch(page, key):
    page.fill({"reason": "a test"})
    page.submit("stop-form")
    page.wait("it says that all is stopped", lambda: "All spending is stopped" in page.text("#stop"))
    assert call("POST", "/api/execute", key, {"query": "top 5 products by revenue"})[0] == 402
    page.screenshot("admin-stopped-1280")
    page.check_accessible("all is stopped")
    page.one("#resume").send_keys(Keys.ENTER)
    page.confirm()
    page.wait("spending goes on", lambda: page.all("#stop-form"))
    assert call("GET", "/api/budget", key)[1]["stopped"] is None


def make_viewer(page):
    page.js("document.querySelector('#key-details').open = true")
    page.fill({"key-name": "a screen", "key-scopes": "user/ana, org/acme"})
    page.js("document.querySelector('#key-role').value = 'viewer'")
    page.submit("key-form")
    page.wait("the key is shown", lambda: page.all("#new-key-secret"))
    return page.text("#new-key-secret")


def check_roles(page, boss, viewer):
    page.js("[...document.querySelectorAll('#who button')].at(-1).click()")
    page.wait("it asks for a key", lambda: page.all("#sign-in #key"))
    page.screenshot("sign-in-1280")
    page.check_accessible("sign-in")
    page.one("#key").send_keys("mbx_wrong", Keys.ENTER)
    page.wait("it says what is wrong", lambda: "no key of Meterbox" in page.text("#key-error"))
    page.check_accessible("sign-in with a wrong key")
    page.one("#key").clear()
    page.one("#key").send_keys(viewer, Keys.ENTER)
    page.wait("a viewer sees the page", lambda: page.one("main").is_displayed() and page.all("#data .peek"))
    assert "Administration" not in page.text("#who")
    page.one("#question").send_keys("top 5 products by revenue", Keys.ENTER)
    page.wait("it says that a viewer may not ask", lambda: "needs the role analyst" in page.text("#answer"))
    page.screenshot("viewer-asks-1280")
    page.open("/admin")
    page.wait("it says who may", lambda: "needs the key of an administrator" in page.text("main"))

    status, _ = call("DELETE", f"/api/keys/{viewer[4:16]}", boss)
    assert status == 200
    page.open("/")
    page.sign_in(boss)
    page.open("/admin")
    page.wait("the boss is back", lambda: "a screen" in page.text("#keys"))
    assert "revoked" in page.text("#keys")


def check_replacing(page, key):
    call("POST", "/api/keys", key, {"name": "robot", "role": "analyst", "scopes": ["user/robot"]})
    page.open("/admin")
    page.wait("the robot is listed", lambda: "robot" in page.text("#keys"))
    page.press("robot", "Replace")
    page.confirm()
    page.wait("the new key is shown", lambda: page.all("#new-key-secret"))
    new = page.text("#new-key-secret")
    assert call("GET", "/api/session", new)[1]["principal"] == "user/robot"
    check_grace(page, key, new)
    page.press("the boss", "Revoke")
    page.confirm()
    page.wait("the last one is kept", lambda: "last key that may administer" in page.text("#new-key"))


def check_grace(page, boss, old):
    """Replaced with time to spare, the old key goes on for as long as was chosen."""
    call("POST", "/api/keys", boss, {"name": "rover", "role": "viewer", "scopes": ["user/rover"]})
    page.open("/admin")
    page.wait("the rover is listed", lambda: "rover" in page.text("#keys"))
    page.press("rover", "Replace")
    page.wait("it asks how long", lambda: page.all("dialog[open] #grace"))
    page.screenshot("admin-replace-1280")
    page.check_accessible("replacing a key")
    assert page.one("#grace").get_attribute("value") == "0", "at once, unless somebody chooses otherwise"
    page.js("document.querySelector('#grace').value = '86400'")
    page.confirm()
    page.wait("the new key is shown", lambda: page.all("#new-key-secret"))
    new = page.text("#new-key-secret")
    assert call("GET", "/api/session", new)[1]["principal"] == "user/rover"
    keys = [key for key in call("GET", "/api/keys", boss)[1]["keys"] if key["name"] == "rover"]
    replaced = next(key for key in keys if key["replaced_by"])
    assert replaced["state"] == "active" and replaced["replaced_by"] == new[4:16], keys
    assert replaced["expires_at"] < next(key for key in keys if not key["replaced_by"])["expires_at"], keys
    page.wait("the table says so", lambda: f"replaced by mbx_{new[4:16]}" in page.text("#keys table"))
    assert call("GET", "/api/session", old)[0] == 200


def check_audit(page):
    shown = page.text("#audit")
    for act in ["key.create", "key.revoke", "key.rotate", "budget.set", "budget.top_up", "budget.remove",
                "spending.stop", "spending.resume"]:
        assert act in shown, f"{act} is not in the log"
    assert "127.0.0.1" in shown


def check_looks(page):
    for width, dark in WIDTHS:
        page.show(width, 900, dark)
        page.open("/admin")
        page.wait("everything is there", lambda: page.all("#audit table") and page.all("#budgets table"))
        for details in page.all("main details"):
            page.js("arguments[0].open = true", details)
        time.sleep(0.2)
        page.screenshot(f"admin-{width}{'-dark' if dark else ''}")
        page.check_accessible(f"administration at {width}, {'dark' if dark else 'light'}")
        page.press("org/acme", "Top up")
        page.wait("it asks how much", lambda: page.all("dialog[open] #top-up-amount"))
        page.check_accessible(f"a dialog at {width}, {'dark' if dark else 'light'}")
        page.one("dialog[open] > button").send_keys(Keys.ENTER)
        # Not innerWidth: a phone zooms out until everything fits.
        wide = page.js("return document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} px wide at {width}"
        small = page.js("""
            return [...document.querySelectorAll("button, select, input, summary")]
                .filter((control) => control.checkVisibility() && control.getBoundingClientRect().height < 24)
                .map((control) => control.outerHTML.slice(0, 80));
        """)
        assert not small, f"targets below 24 px: {small}"
        nameless = page.js("""
            return [...document.querySelectorAll("input, select")]
                .filter((control) => !control.labels?.length).map((control) => control.outerHTML.slice(0, 80));
        """)
        assert not nameless, nameless


def check_complaints(page):
    page.note_complaints()
    # A reply of 4xx that was meant is noted by the browser all the same.
    serious = [one for one in page.complaints if "Failed to load resource" not in one]
    assert not serious, serious
    foreign = [url for url in page.requested if not url.startswith((URL + "/", "data:", "about:", "chrome"))]
    assert not foreign, foreign


def main():
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        with Page(profile, SCREENSHOTS) as page:
            try:
                look(page)
            except Exception:
                page.screenshot("failed-admin")
                raise
            print(f"without a fault of WCAG 2.2 AA that axe finds: {', '.join(page.accessible) or 'SKIPPED, there is no axe'}")
    print(f"the administrator's page is as it should be; screenshots are in {SCREENSHOTS}")


def look(page):
    page.show(1280, 900)
    boss = make_first_key(page)
    check_nothing_is_kept(page, boss)
    check_budgets(page, boss)
    check_spending(page, boss)
    check_kill_switch(page, boss)
    viewer = make_viewer(page)
    check_roles(page, boss, viewer)
    check_replacing(page, boss)
    check_audit(page)
    check_looks(page)
    check_complaints(page)


main()
