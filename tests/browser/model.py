"""Asks the model instead of rules, and reads what was sent: `model.py URL SCREENSHOT_FOLDER`.

The service stands before a double of a model on this machine, and trusts its rules.
"""

import sys
import tempfile
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from window import Window

URL, SCREENSHOTS = sys.argv[1].rstrip("/"), Path(sys.argv[2])
QUESTION = "revenue by category in 2025"
PATIENCE = 180


def main():
    with tempfile.TemporaryDirectory() as profile, Window(profile, SCREENSHOTS) as page:
        page.show(1280, 900)
        page.driver.get(URL)
        wait(page, "the data is described", lambda: all_of(page, "#data .peek"))
        note = all_of(page, "#data")[0].text
        assert "is asked of gpt-4.1-mini on this machine" in note, note
        assert "frequent values that do not look personal" in note, note

        all_of(page, "#question")[0].send_keys(QUESTION, Keys.ENTER)
        wait(page, "rules answer", lambda: badge(page) == "Built-in planner")
        instead(page)[0].click()
        wait(page, "the model answers", lambda: badge(page) == "Language model")
        assert not instead(page), "a model's answer has no model instead"

        sent = all_of(page, "details.sent")[0]
        sent.find_element(By.TAG_NAME, "summary").click()
        words = sent.text
        for part in ["1 message", "127.0.0.1", QUESTION, "SHA-256"]:
            assert part in words, (part, words)
        assert "as_of is 2025" in words and "\n" in words.split("as_of is")[0], "it is shown line by line"
        bill = all_of(page, "details.bill")[0]
        bill.find_element(By.TAG_NAME, "summary").click()
        assert "compatible/gpt-4.1-mini output" in bill.text, bill.text
        page.screenshot("model-1280")
        page.check_accessible("a model's answer")
    print("an answer of rules, and the model's instead")


def wait(page, what, condition):
    WebDriverWait(page.driver, PATIENCE, 0.1).until(lambda _: condition(), f"waited in vain until {what}")


def all_of(page, selector):
    return page.driver.find_elements(By.CSS_SELECTOR, selector)


def badge(page):
    """In one step, since the card may be replaced between two."""
    return page.js("return document.querySelector('#answer .badge')?.textContent")


def instead(page):
    return [button for button in all_of(page, "#answer button") if button.text == "Ask the model instead"]


main()
