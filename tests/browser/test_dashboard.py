"""A person's way through the dashboard, in Chromium, against the real service: sign in, start, watch, choose, export.

Screenshots go to `test-output/screenshots`. Needs Debian's `chromium` and the built dashboard (`make dashboard`).
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from nas_service.cli.up import running
from nas_service.settings import Settings

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
if MISSING:
    print(f"\n*** BROWSER TESTS SKIPPED: missing {' and '.join(MISSING)} ***")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"missing {' and '.join(MISSING)}"),
]


@pytest.fixture
def service(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Address and first key of a service of its own, with child processes as workers."""
    monkeypatch.setenv("NAS_RAY_ADDRESS", "none")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(home=tmp_path, database_url=database_url, port=port)
    with running(settings) as (_, key):
        assert key is not None
        yield f"http://127.0.0.1:{port}", key


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


def shoot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def test_a_whole_search_in_the_browser(service: tuple[str, str], page: Page) -> None:
    url, key = service
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective + e.blockedURI))"
    )

    page.goto(f"{url}/ui/")
    page.get_by_label("API key").fill("nas_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    shoot(page, "sign-in")
    faults.clear()  # the refused sign-ins (401) above are reported by the browser as errors

    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("No search yet")).to_be_visible()
    page.get_by_role("link", name="New search").first.click()
    page.get_by_label("Name").fill("browser search")
    page.get_by_label("Search space").select_option(label="digits-mobile")
    page.get_by_label("Data set").select_option(label="digits")
    page.get_by_label("Trials").fill("24")
    page.get_by_label("Finalists").fill("6")
    page.get_by_label("Training parameters").fill('{"num_steps": 120, "curve_every_steps": 40}')
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_label("plan")).to_contain_text("cardinality")
    shoot(page, "new-search")
    page.get_by_role("button", name="Start search").click()

    expect(page.get_by_role("heading", name="browser search")).to_be_visible()
    expect(page.get_by_test_id("state")).to_have_text("succeeded", timeout=240_000)
    shoot(page, "overview")

    page.get_by_role("link", name="front", exact=True).click()
    rows = page.locator("tbody tr")
    expect(rows.first).to_be_visible()
    rows.first.click()
    assert "trial=tri_" in page.url
    shoot(page, "front")
    rows.first.get_by_role("button", name="Export").click()
    download_link = page.get_by_role("link", name="model.safetensors")
    expect(download_link).to_be_visible(timeout=120_000)
    with page.expect_download() as download:
        download_link.click()
    assert Path(download.value.path()).stat().st_size > 500

    page.get_by_role("link", name="trials").click()
    page.get_by_role("button", name="MACs").click()
    expect(page.get_by_role("button", name="MACs ▲")).to_be_visible()
    shoot(page, "trials")
    page.locator("tbody tr", has_text="succeeded").first.click()
    expect(page.get_by_text("Copy JSON")).to_be_visible()
    shoot(page, "architecture")
    for tab, text in (("supernet", "Supernet"), ("events", "search.created"), ("config", "Specification")):
        page.get_by_role("link", name=tab, exact=True).click()
        expect(page.get_by_text(text).first).to_be_visible()
        shoot(page, tab)

    page.get_by_label("Theme").select_option("dark")
    page.get_by_role("link", name="overview").click()
    shoot(page, "overview-dark")
    address = page.url
    page.goto(address)
    expect(page.get_by_role("heading", name="browser search")).to_be_visible()
    page.get_by_role("link", name="Searches").click()
    expect(page.get_by_role("link", name="browser search")).to_be_visible()
    shoot(page, "searches")
    assert faults == [], "\n".join(faults)
    assert os.listdir(SCREENSHOTS)
