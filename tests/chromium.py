"""A headless Chromium, controlled by its WebDriver, for tests of pages. Skipped where it is not installed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1320,1000",
)  # fmt: skip
TIMEOUT_S = 10.0


def start_chromium(profile: Path) -> Any:
    """Return a browser with a new profile in this folder; whoever asks for it calls `quit`."""
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install selenium)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def until(browser: Any, script: str, *arguments: Any, timeout_s: float = TIMEOUT_S) -> Any:
    """Wait until the result of a JavaScript is true, and return it."""
    end = time.monotonic() + timeout_s
    while not (result := browser.execute_script(script, *arguments)):
        assert time.monotonic() < end, f"timed out: {script}"
        time.sleep(0.02)
    return result
