"""What browser tests share: Chromium's flags, whether it and the built pages are there, and a visit to them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, expect

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium")
STATIC = ROOT / "nas_service" / "dashboard" / "static" / "index.html"
SCREENSHOTS = ROOT / "test-output" / "screenshots"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = [
    text
    for text, absent in (
        ("Chromium (apt-get install chromium)", CHROMIUM is None),
        ("the built dashboard (make dashboard, needs Node 20)", not STATIC.exists()),
    )
    if absent
]

# A machine that runs other things too must not fail a test.
expect.set_options(timeout=20_000)


@dataclass
class Visit:
    """A page and what went wrong on it: errors of the console and violations of the content policy."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def sign_in(self, url: str, key: str) -> None:
        self.page.goto(f"{url}/ui/")
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Searches")).to_be_visible()
        self.forgive("401")  # that nobody was signed in yet

    def forgive(self, text: str) -> None:
        """Drop faults that a test provoked on purpose."""
        self.faults[:] = [fault for fault in self.faults if text not in fault]

    def shoot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
