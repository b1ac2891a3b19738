"""A person in the dashboard, in Chromium, against the real service: sign in, start, watch, choose, export."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect

from nas_service.client import Client
from tests.support.browser import Visit


def test_a_whole_search_in_the_browser(service: tuple[str, str], visit: Visit) -> None:
    url, key = service
    page = visit.page
    page.goto(f"{url}/ui/")
    page.get_by_label("API key").fill("nas_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    visit.shoot("sign-in")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("No search yet")).to_be_visible()
    visit.forgive("401")

    _fill_the_form(visit)
    page.get_by_role("button", name="Start search").click()
    expect(page.get_by_role("heading", name="browser search")).to_be_visible()
    search_url = page.url
    expect(page.get_by_test_id("state")).to_have_text("succeeded", timeout=240_000)
    expect(page.get_by_label("phases")).to_contain_text("Finalists")
    expect(page.get_by_text("search.phase phase finalists")).to_be_visible()
    visit.shoot("overview")

    _look_at_the_front(visit)
    page.get_by_role("link", name="trials", exact=True).click()
    page.get_by_role("button", name="MACs").click()
    expect(page.get_by_role("button", name="MACs ▲")).to_be_visible()
    visit.shoot("trials")
    page.locator("tbody tr", has_text="succeeded").first.click()
    expect(page.get_by_text("choices differ")).to_be_visible()
    visit.shoot("architectures")
    for tab, text in (
        ("supernet", "Learning curves"),
        ("timeline", "attempts of jobs"),
        ("events", "as they are committed"),
        ("config", "Provenance"),
    ):
        page.get_by_role("link", name=tab, exact=True).click()
        expect(page.get_by_text(text).first).to_be_visible()
        visit.shoot(tab)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    again = Client(url, key).post("/v1/search-plans", json.loads(Path(download.value.path()).read_text()))
    assert (again["num_trials"], again["supernet_is_ready"]) == (24, True)
    page.get_by_role("link", name="Change and start again").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("browser search (again)")
    page.get_by_label("Reuse one").check()
    expect(page.get_by_label("plan", exact=True)).to_contain_text("is ready")

    page.get_by_label("Theme").select_option("dark")
    page.goto(search_url)
    expect(page.get_by_role("heading", name="Front, scored and measured again")).to_be_visible()
    visit.shoot("overview-dark")
    page.get_by_role("link", name="Searches").click()
    expect(page.get_by_role("link", name="browser search")).to_be_visible()
    visit.shoot("searches")


def _fill_the_form(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("link", name="New search").first.click()
    page.get_by_label("Name", exact=True).fill("browser search")
    page.get_by_label("Search space", exact=True).select_option(label="digits-mobile")
    page.get_by_label("Data set", exact=True).select_option(label="digits")
    expect(page.get_by_label("structure of the search space")).to_contain_text("mbconv")
    expect(page.get_by_role("img", name="samples of the split train")).to_be_visible()

    page.get_by_role("button", name="Edit as document").click()
    editor = page.get_by_label("search space document")
    expect(page.get_by_text("Valid: digits-mobile")).to_be_visible()
    text = editor.input_value()
    editor.fill(text.replace("block: mbconv", "block: mbcov"))
    fault = page.get_by_role("button", name="line ").first
    expect(fault).to_be_visible()
    fault.click()
    wrong_line = page.evaluate("document.activeElement.value.slice(0, document.activeElement.selectionStart)")
    assert "mbcov" in editor.input_value().split("\n")[wrong_line.count("\n")]
    visit.shoot("document-with-a-fault")
    page.get_by_role("button", name="Discard the document").click()
    visit.forgive("422")  # the answer about the faulty document

    page.get_by_label("Add an objective").select_option("latency_ms")
    page.get_by_label("latency_ms at most").fill("50")
    page.get_by_role("group", name="latency_ms").get_by_label("an axis of the front").uncheck()
    page.get_by_text("Parameters of sandwich").click()
    page.get_by_role("spinbutton", name="num_steps").fill("60")
    page.get_by_role("spinbutton", name="curve_every_steps").fill("20")
    page.get_by_label("Strategy", exact=True).select_option("nsga2")
    page.get_by_text("Parameters of nsga2").click()
    population = page.get_by_role("spinbutton", name="population")
    population.fill("2")
    expect(page.get_by_text("greater than or equal to 4").first).to_be_visible()
    visit.shoot("new-search-with-a-fault")
    visit.forgive("422")
    population.fill("")
    page.get_by_label("Trials", exact=True).fill("24")
    page.get_by_label("Finalists", exact=True).fill("4")
    expect(page.get_by_label("plan", exact=True)).to_contain_text("1 train supernet")
    expect(page.get_by_label("plan", exact=True)).to_contain_text("evaluate")
    visit.shoot("new-search")


def _look_at_the_front(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("link", name="front", exact=True).click()
    rows = page.locator("tbody tr")
    expect(rows.first).to_be_visible()
    rows.first.click()
    assert "trial=tri_" in page.url
    visit.shoot("front")
    rows.first.get_by_role("button", name="Export").click()
    page.locator("tbody details summary").click(timeout=120_000)
    with page.expect_download() as download:
        page.get_by_role("link", name="model.safetensors").click()
    assert Path(download.value.path()).stat().st_size > 500
    page.reload()  # what was exported is known to the service, not to the page
    expect(page.locator("tbody details summary")).to_be_visible()
    for place in (0, 1):
        rows.nth(place).get_by_role("checkbox").check()
    assert page.url.count("tri_") == 3
