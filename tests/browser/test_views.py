"""Views of searches over a table, which take seconds: choices, scrubber, bounds, timeline, comparison, keys."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import expect

from nas_service.client import Client
from tests.support.browser import ROOT, Visit

AXE = ROOT / "nas_service/dashboard/web/node_modules/axe-core/axe.min.js"
# What the page itself moved, as a share of the window (https://web.dev/cls: above 0.1 it disturbs).
MOST_SHIFT = 0.1
LAYOUT_SHIFT = """
window.layoutShift = 0;
const add = entry => { if (!entry.hadRecentInput) window.layoutShift += entry.value };
new PerformanceObserver(list => list.getEntries().forEach(add))
  .observe({type: "layout-shift", buffered: true});
"""
TABLE = {
    "objectives": [{"metric": "cifar10_test_e200"}, {"metric": "cifar10_edgegpu_latency"}],
    "evaluator": {"kind": "table", "table": "nasbench201"},
    "budget": {"trials": 150},
}


@pytest.fixture(scope="module")
def found(service: tuple[str, str]) -> list[dict]:
    """Finished searches: two strategies, three seeds each."""
    url, key = service
    client = Client(url, key)
    made = [
        client.create_search({**TABLE, "name": f"{name} seed {seed}", "seed": seed, "strategy": {"name": name}})
        for name in ("random", "nsga2")
        for seed in (1, 2, 3)
    ]
    return [client.wait(search["id"], timeout_s=60) for search in made]


def state_of(visit: Visit) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(visit.page.url).query).items()}


def test_choices_are_brushed_and_the_selection_is_in_the_address(service, found, visit) -> None:
    visit.sign_in(*service)
    page = visit.page
    page.goto(f"{service[0]}/ui/searches/{found[3]['id']}?tab=choices")
    chart = page.get_by_role("img", name=re.compile("8 axes, 150 trials, 150 selected"))
    expect(chart).to_be_visible()
    box = chart.bounding_box()
    assert box is not None
    # the first axis is 50 px from the left of the picture, which has 60 px above and 26 px below
    height = box["height"] - 86
    page.mouse.move(box["x"] + 50, box["y"] + 60 + 0.1 * height)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 60 + 0.35 * height, steps=5)
    page.mouse.up()
    expect(page.get_by_role("heading", name=re.compile(r"^\d+ of 150 trials selected"))).to_be_visible()
    heading = page.get_by_role("heading", name="trials selected").inner_text()
    assert 0 < int(heading.split()[0]) < 150
    assert "brush" in state_of(visit)
    visit.shoot("choices")
    page.reload()
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    page.get_by_role("button", name="Clear selection").click()
    expect(page.get_by_role("heading", name="150 trials", exact=True)).to_be_visible()
    page.get_by_role("button", name="Table").click()
    expect(page.get_by_role("columnheader", name="cell.e01.op")).to_be_visible()


def test_the_front_of_an_earlier_moment_and_bounds(service, found, visit) -> None:
    visit.sign_in(*service)
    page = visit.page
    page.goto(f"{service[0]}/ui/searches/{found[3]['id']}?tab=front")
    expect(page.get_by_text("after 150 of 150 evaluations")).to_be_visible()
    now = page.locator("tbody tr").count()
    page.get_by_label("front after this many evaluations").fill("10")
    expect(page.get_by_text("after 10 of 150 evaluations")).to_be_visible()
    expect(page.locator("tbody tr")).not_to_have_count(now)
    numbers = [int(text) for text in page.locator("tbody td:nth-child(2)").all_inner_texts()]
    assert numbers
    assert max(numbers) < 10
    assert state_of(visit)["at"] == "10"
    page.get_by_role("button", name="Now").click()
    page.get_by_label("smallest cifar10_test_e200").fill("90")
    expect(page.get_by_text(re.compile(rf"\d+ of {now} points"))).to_be_visible()
    values = [float(text.removesuffix(" %")) for text in page.locator("tbody td:nth-child(3)").all_inner_texts()]
    assert values
    assert min(values) >= 90
    page.get_by_label("log x").check()
    page.get_by_label("colour").select_option("params")
    visit.shoot("front-of-a-table")
    state = state_of(visit)
    assert (state["ge.cifar10_test_e200"], state["log"], state["colour"]) == ("90", "x", "params")
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(len(values))


def test_a_cell_is_drawn_and_all_trials_are_saved(service, found, visit) -> None:
    visit.sign_in(*service)
    page = visit.page
    page.goto(f"{service[0]}/ui/searches/{found[3]['id']}?tab=trials")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV of all trials").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert [int(row["number"]) for row in rows] == list(range(150))
    page.locator("tbody tr", has_text="succeeded").first.click()
    expect(page.get_by_role("figure", name="graph of stage0.cell0")).to_contain_text("14 equal ones")
    operations = page.locator("figure.cell text:not(.small)").all_text_contents()
    chosen = [value for name, value in rows[0].items() if name.startswith("cell.")]
    assert sorted(name for name in operations if name not in ("input", "n1", "n2", "n3")) == sorted(chosen)
    visit.shoot("cell")


def test_searches_are_compared_by_group(service, found, visit) -> None:
    visit.sign_in(*service)
    page = visit.page
    for search in found:
        page.get_by_label(f"compare {search['name']}").check()
    page.get_by_role("button", name="Compare 6").click()
    expect(page.get_by_role("cell", name="random (3 seeds)")).to_be_visible()
    expect(page.get_by_role("cell", name="nsga2 (3 seeds)")).to_be_visible()
    expect(page.get_by_role("heading", name="share of the true front's")).to_be_visible()
    visit.shoot("compare")
    page.get_by_label("Show").select_option("regret")
    expect(page.get_by_role("heading", name="Regret: gap to the true front")).to_be_visible()
    page.get_by_role("button", name="Table").first.click()
    rows = page.locator("figure").first.locator("tbody tr")
    expect(rows.first).to_be_visible()
    last = rows.last.locator("td").all_inner_texts()
    volumes = sorted(search["normalised_hypervolume"] for search in found[3:])
    assert last[0] == "nsga2 (3 seeds)"
    assert float(last[3]) == pytest.approx(1 - volumes[1], abs=1e-4)
    visit.shoot("compare-regret")


def test_a_form_for_a_table_and_the_timeline(service, found, visit) -> None:
    visit.sign_in(*service)
    page = visit.page
    page.goto(f"{service[0]}/ui/new")
    page.get_by_label("Look them up in a table").check()
    expect(page.get_by_label("Data set", exact=True)).to_have_count(0)
    page.get_by_label("Trials", exact=True).fill("40")
    page.get_by_label("Seed", exact=True).fill("9")
    expect(page.get_by_label("plan", exact=True)).to_contain_text("15,625")
    page.get_by_label("Strategy", exact=True).select_option("flow")
    page.get_by_text("Parameters of flow").click()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Field required").first).to_be_visible()
    page.locator("label", has_text=re.compile("^name")).get_by_role("combobox").select_option("nsga2")
    expect(page.get_by_text("Field required")).to_have_count(0)
    visit.forgive("422")  # the plan of a flow without a step
    visit.shoot("new-search-over-a-table")
    page.get_by_role("button", name="Start search").click()
    expect(page.get_by_test_id("state")).to_have_text("succeeded", timeout=30_000)
    page.get_by_role("link", name="timeline").click()
    expect(page.get_by_role("img", name=re.compile("Timeline of"))).to_be_visible()
    expect(page.get_by_role("img", name="40 trials finished")).to_be_visible()


def test_no_view_has_a_serious_fault_of_accessibility(service, found, visit) -> None:
    """By axe-core's rules of WCAG 2.2 AA, contrast in both themes; none is too wide for a phone or moves on loading."""
    visit.sign_in(*service)
    page = visit.page
    page.add_init_script(LAYOUT_SHIFT)
    one = f"searches/{found[3]['id']}"
    compared = "compare?ids=" + ",".join(search["id"] for search in found)
    faults = []
    for path in ("", "new", one, f"{one}?tab=front", f"{one}?tab=choices", f"{one}?tab=trials", compared):
        page.emulate_media(color_scheme="light")
        page.goto(f"{service[0]}/ui/{path}")
        expect(page.locator("main .card").first).to_be_visible()
        expect(page.get_by_text("Loading")).to_have_count(0)
        if (moved := page.evaluate("layoutShift")) > MOST_SHIFT:
            faults.append((path, "moves while it loads", "layout shift", moved))
        page.evaluate(AXE.read_text())
        for scheme, rules in (
            ("light", "'wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa'"),
            ("dark", "'color-contrast'"),
        ):
            page.emulate_media(color_scheme=scheme)
            answer = page.evaluate(f"axe.run(document, {{resultTypes: ['violations'], runOnly: [{rules}]}})")
            faults += [(path, scheme, fault["id"], fault["nodes"][0]["html"]) for fault in answer["violations"]]
        page.set_viewport_size({"width": 390, "height": 800})
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if beyond > 0:
            faults.append((path, "narrow", "too wide by", beyond))
        page.set_viewport_size({"width": 1360, "height": 900})
    assert faults == []


def test_everything_by_keyboard(service, found, visit) -> None:
    visit.sign_in(*service)
    page = visit.page
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tr.selected")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("state")).to_be_visible()
    page.keyboard.press("2")
    expect(page.get_by_label("front after this many evaluations")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator("tr.selected")).to_have_count(1)
    assert state_of(visit)["trial"].startswith("tri_")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="keyboard shortcuts")
    expect(keys).to_contain_text("next row")
    visit.shoot("keys")
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="New search")).to_be_visible()
    page.get_by_label("Name", exact=True).press("?")  # typed, not a command
    expect(keys).to_be_hidden()
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    unnamed = page.evaluate(
        """[...document.querySelectorAll("input, select, textarea, button, a[href]")]
           .filter(one => !one.labels?.length && !one.getAttribute("aria-label") && !one.textContent.trim()
             && !one.getAttribute("title")).map(one => one.outerHTML)"""
    )
    assert unnamed == []
