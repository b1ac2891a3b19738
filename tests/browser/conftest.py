"""Chromium on a real service. A page that reports an error or a violation of the content policy fails its test.

Screenshots go to `test-output/screenshots`. Needs Debian's `chromium` and the built dashboard (`make dashboard`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from nas_service.cli.up import running
from nas_service.settings import Settings
from tests.support import postgres
from tests.support.api import HOST, free_port
from tests.support.browser import CHROMIUM, FLAGS, MISSING, Visit


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.skipif(bool(MISSING), reason=f"missing {' and '.join(MISSING)}"))


@pytest.fixture(scope="package")
def service(
    postgres_server: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Address and first key of a whole service for this folder, with child processes as workers."""
    with postgres.database(postgres_server, migrated_template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_RAY_ADDRESS", "none")
        settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=url, port=free_port())
        with running(settings) as (_, key):
            assert key is not None
            yield f"http://{HOST}:{settings.port}", key


# Of a module: the loop that Playwright runs in this thread must be gone before tests of other folders.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    found = Visit(context.new_page())
    page, faults = found.page, found.faults
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective + e.blockedURI))"
    )
    yield found
    context.close()
    assert faults == [], "\n".join(faults)
