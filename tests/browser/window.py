"""A Chromium window that keeps what it has to complain about."""

import base64
import json
import os

from selenium import webdriver

SWITCHES = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
]
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

    def note_complaints(self):
        """Keeps what the window has to complain about so far; opening another page would lose it."""
        self.complaints += [f"console: {entry['message']}" for entry in self.driver.get_log("browser")]
        self.complaints += [f"policy: {report}" for report in self.js("return window.policyReports ?? []")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
