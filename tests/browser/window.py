"""A Chromium window that keeps what it has to complain about."""

import base64
import json
import os

from selenium import webdriver

SWITCHES = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
]
# The rules of WCAG 2.2 up to level AA, whichever version brought them.
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
RUN_AXE = """
    const done = arguments[arguments.length - 1];
    axe.run(document, { runOnly: { type: "tag", values: arguments[0] }, resultTypes: ["violations"] }).then(
        ({ violations, passes }) => done({ passes: passes.map((rule) => rule.id), violations: violations.map((rule) =>
            [rule.id, rule.help, rule.nodes.map((node) => `${node.target}: ${node.failureSummary}`)]) }),
        (fault) => done({ fault: String(fault) }));
"""
COLLECT_REPORTS = """
    window.policyReports = [];
    addEventListener("securitypolicyviolation", (event) =>
        window.policyReports.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


class Window:
    """One window; `screenshots` is the folder they go to."""

    def __init__(self, profile, screenshots):
        self.screenshots = screenshots
        options = webdriver.ChromeOptions()
        options.binary_location = os.environ["CHROMIUM"]
        for switch in [*SWITCHES, f"--user-data-dir={profile}"]:
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(os.environ["CHROMEDRIVER"])
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COLLECT_REPORTS})
        self.requested = []
        self.complaints = []
        self.accessible = []

    def show(self, width, height, dark=False):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def screenshot(self, name):
        self.js("scrollTo(0, 0)")
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        (self.screenshots / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))

    def axe(self):
        """What another program finds wrong with the page as it is: rules of WCAG that pass, and those that fail."""
        if not self.js("return Boolean(window.axe)"):
            with open(os.environ["AXE"], encoding="utf-8") as source:
                self.js(source.read())
        found = self.driver.execute_async_script(RUN_AXE, WCAG)
        assert "fault" not in found, found
        return set(found["passes"]), found["violations"]

    def check_accessible(self, what):
        """Nothing on the page as it is breaks a rule of WCAG 2.2 A or AA that a program can check."""
        if "AXE" not in os.environ:
            return
        passes, violations = self.axe()
        # Where a dialog is open it looks at nothing else.
        assert {"color-contrast", "button-name", "target-size"} <= passes, (what, passes)
        assert not violations, f"{what}: {json.dumps(violations, indent=1)}"
        self.accessible.append(what)

    def check_that_axe_finds_something(self):
        """Faults put in on purpose are found; otherwise the other checks would say nothing."""
        if "AXE" not in os.environ:
            return
        self.js("""
            const bad = document.createElement("div");
            bad.id = "bad";
            const pale = document.createElement("p");
            pale.textContent = "pale";
            pale.style.color = "#777";
            pale.style.background = "#888";
            const nameless = document.createElement("input");
            const empty = document.createElement("button");
            bad.append(pale, nameless, empty);
            document.querySelector("main").append(bad);
        """)
        found = {rule for rule, _, _ in self.axe()[1]}
        self.js("document.querySelector('#bad').remove()")
        assert {"color-contrast", "label", "button-name"} <= found, found

    def note_complaints(self):
        """Keeps what the window has to complain about so far; opening another page would lose it."""
        self.complaints += [f"console: {entry['message']}" for entry in self.driver.get_log("browser")]
        self.complaints += [f"policy: {report}" for report in self.js("return window.policyReports ?? []")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
