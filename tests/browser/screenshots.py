"""`python -m tests.browser.screenshots`: the pictures of docs/, taken of a real run of two minutes.

They are for people: look at them before they are kept.
"""

import math
import random
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import FLAGS, chromium
from tests.browser.stack import Stack, event

IMAGES = Path(__file__).parents[2] / "docs" / "images"
RUN_S = 120.0
WAVE_S = 17.0
FACEBOOK_SHARE = 0.64
ONE_IN = 250  # events with a mistake
CITIES = ("Lisbon", "Porto", "Faro", "Braga")


def main() -> None:
    """Start a stack, send it waves of events, take the pictures, and end it."""
    stack = Stack()
    stop = threading.Event()
    sender = threading.Thread(target=_waves, args=(stack, stop))
    try:
        stack.start()
        sender.start()
        stop.wait(RUN_S / 2)
        stack.park(12, "Atlantis")
        stop.wait(RUN_S / 2)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            _take(
                browser, stack, "console-light", "flow", color_scheme="light", viewport={"width": 1280, "height": 1215}
            )
            _take(
                browser,
                stack,
                "console-dark",
                "dead-letters",
                color_scheme="dark",
                viewport={"width": 1280, "height": 900},
            )
            _take(
                browser, stack, "console-phone", "flow",
                color_scheme="light", viewport={"width": 360, "height": 780}, device_scale_factor=2,
            )  # fmt: skip
            browser.close()
    finally:
        stop.set()
        if sender.is_alive():
            sender.join()
        stack.close()


def _take(browser: Browser, stack: Stack, name: str, view: str, **options: Any) -> None:
    page = browser.new_page(**options)
    page.goto(f"{stack.url}/#/{view}")
    page.wait_for_selector("#checks li")
    if view == "dead-letters":
        page.locator("#letters tbody a").nth(2).click()
        page.wait_for_selector("#letter textarea")
    page.wait_for_timeout(1_500)
    page.screenshot(path=IMAGES / f"{name}.png")
    page.close()


def _waves(stack: Stack, stop: threading.Event) -> None:
    """A bulk of a few hundred events a second and some single ones, up and down; bounded by RUN_S and some."""
    started = time.monotonic()
    while not stop.wait(0.5) and time.monotonic() - started < 2 * RUN_S:
        swing = math.sin((time.monotonic() - started) / WAVE_S)
        wanted = int(500 + 330 * swing + random.random() * 120)
        events = [event("facebook" if random.random() < FACEBOOK_SHARE else "tiktok") for _ in range(wanted)]
        for one in events:
            if "location" in one["data"]["user"]:
                one["data"]["user"]["location"]["city"] = random.choice(CITIES)
            if random.randrange(ONE_IN) == 0:
                one["data"]["user"]["userId"] = None
        stack.post(events, check=False)
        stack.post([event("tiktok")])


if __name__ == "__main__":
    main()
