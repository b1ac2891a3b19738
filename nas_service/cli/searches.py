"""`nas search`, `nas front`, `nas export`: start, follow and steer searches, and fetch what they found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.live import Live

from nas_service.cli.connection import connect
from nas_service.cli.output import Format, FormatOption, out, print_facts, print_rows, progress, show
from nas_service.client import FINISHED, Client
from nas_service.errors import InvalidInput
from search_spaces.library_index import LIBRARY, load_file

app = typer.Typer(no_args_is_help=True, help="Searches.")
exports = typer.Typer(no_args_is_help=True, help="Downloads of finalists.")
COLUMNS = ["id", "name", "state", "phase", "num_told", "front_size", "hypervolume", "created_at"]
# Scores that a front shows where they are among its axes; accuracy has columns of its own.
SCORES = ("f1_macro", "perplexity")


def request_from(
    file: Path | None,
    space: str,
    dataset: str,
    objectives: list[str],
    strategy: str,
    trials: int,
    finalists: int,
    seed: int,
    table: str | None = None,
) -> dict[str, Any]:
    """The body of a search from a YAML/JSON file, or from the options."""
    if file is not None:
        body = yaml.safe_load(file.read_text())
        if not isinstance(body, dict):
            raise InvalidInput.at(str(file), "must hold one mapping")
        return body
    if table is not None:
        return {
            "name": f"over {table}",
            "evaluator": {"kind": "table", "table": table},
            "objectives": [objective(text) for text in objectives],
            "strategy": {"name": strategy},
            "budget": {"trials": trials},
            "seed": seed,
        }
    return {
        "name": f"{space} on {dataset}",
        "space": space_reference(space),
        "dataset": dataset,
        "objectives": [objective(text) for text in objectives],
        "strategy": {"name": strategy},
        "budget": {"trials": trials},
        "finalists": {"count": finalists},
        "seed": seed,
    }


def space_reference(text: str) -> dict[str, Any]:
    """A stored space by id, a built-in family by name, or a document file."""
    if text.startswith("spc_"):
        return {"id": text}
    if text in LIBRARY:
        return {"library": text}
    return {"document": load_file(Path(text)).document.to_json()}


def objective(text: str) -> dict[str, Any]:
    """``accuracy_top1``, ``macs<1e6``, ``accuracy>70`` or ``latency_ms@local-cpu<2``."""
    sign = ">" if ">" in text else "<"
    name, _, bound = text.partition(sign)
    name, _, device = name.partition("@")
    result: dict[str, Any] = {"metric": name}
    if device:
        result["device"] = device
    if bound:
        try:
            result["constraint"] = {"minimum" if sign == ">" else "maximum": float(bound)}
        except ValueError:
            raise InvalidInput.at("--objective", f"{bound!r} is no number", suggestion="e.g. macs<1e6") from None
    return result


def objectives_or_usual(given: list[str] | None, table: str | None) -> list[str]:
    """Accuracy and MACs unless others are named; a table has metrics of its own."""
    if given is None and table is not None:
        raise InvalidInput.at("--objective", "name metrics of the table", suggestion=f"nas table show {table}")
    return given or ["accuracy_top1", "macs"]


TableOption = Annotated[
    str | None, typer.Option(help="look results up in this table instead of training (then no space and data set)")
]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="YAML or JSON request instead of the options")]
ObjectiveOption = Annotated[
    list[str] | None, typer.Option("--objective", help="accuracy_top1, macs<1e6, latency_ms@local-cpu")
]


@app.command()
def create(
    file: FileOption = None,
    space: str = "digits-mobile",
    dataset: str = "digits",
    table: TableOption = None,
    objectives: ObjectiveOption = None,
    strategy: str = "nsga2",
    trials: int = 200,
    finalists: int = 8,
    seed: int = 0,
    wait: Annotated[bool, typer.Option(help="follow it to the end; Ctrl-C detaches")] = False,
    output: FormatOption = Format.table,
) -> None:
    """Start a search."""
    chosen = objectives_or_usual(objectives, table)
    with connect() as nas:
        search = nas.create_search(request_from(file, space, dataset, chosen, strategy, trials, finalists, seed, table))
        print_facts({name: search.get(name) for name in COLUMNS}, output)
        if wait:
            follow(nas, search["id"])


@app.command()
def plan(
    file: FileOption = None,
    space: str = "digits-mobile",
    dataset: str = "digits",
    table: TableOption = None,
    objectives: ObjectiveOption = None,
    strategy: str = "nsga2",
    trials: int = 200,
    finalists: int = 8,
    seed: int = 0,
    output: FormatOption = Format.table,
) -> None:
    """What a search would cost; starts nothing."""
    chosen = objectives_or_usual(objectives, table)
    with connect() as nas:
        body = request_from(file, space, dataset, chosen, strategy, trials, finalists, seed, table)
        print_facts(nas.post("/v1/search-plans", body), output)


@app.command("list")
def list_searches(output: FormatOption = Format.table) -> None:
    """All searches, newest first."""
    with connect() as nas:
        print_rows(nas.pages("/v1/searches"), COLUMNS, output)


@app.command("show")
def show_search(search_id: str, output: FormatOption = Format.table) -> None:
    """One search."""
    with connect() as nas:
        print_facts(nas.search(search_id), output)


@app.command()
def watch(search_id: str) -> None:
    """Follow a search to its end; Ctrl-C detaches, the search goes on."""
    with connect() as nas:
        follow(nas, search_id)


@app.command()
def pause(search_id: str) -> None:
    """Start nothing new; finish what runs."""
    _act(search_id, "pause")


@app.command()
def resume(search_id: str) -> None:
    """Go on with a paused search."""
    _act(search_id, "resume")


@app.command()
def cancel(search_id: str) -> None:
    """End a search; its trials stay."""
    _act(search_id, "cancel")


def front(search_id: str, stage: str | None = None, output: FormatOption = Format.table) -> None:
    """The Pareto front of a search."""
    with connect() as nas:
        print_front(nas.front(search_id, stage), output)


@exports.command("download")
def download(trial_id: str, folder: Path, output: FormatOption = Format.table) -> None:
    """Make the export of a finalist, download its files, verify their checksums."""
    with connect() as nas:
        export = nas.wait_for_export(nas.post("/v1/exports", {"trial_id": trial_id})["id"])
        paths = nas.download(export, folder)
    print_rows([{"file": str(path), "bytes": path.stat().st_size} for path in paths], ["file", "bytes"], output)


def follow(nas: Client, search_id: str) -> dict[str, Any]:
    """Show progress on standard error until the search ends."""
    try:
        with Live(console=progress, refresh_per_second=4, transient=True) as live:
            search = nas.wait(search_id, on_change=lambda now: live.update(status_line(now)))
    except KeyboardInterrupt:
        progress.print(f"detached; the search goes on: nas search watch {search_id}")
        raise
    progress.print(status_line(search))
    return search


def status_line(search: dict[str, Any]) -> str:
    """One line: state, phase, share done, time left, trials, hypervolume."""
    now = search.get("progress") or {}
    parts = [f"{search['name']}: {search['state']}"]
    if search["state"] not in FINISHED:
        share = f" {100 * now['fraction']:.0f} %" if now.get("fraction") is not None else ""
        left = f", about {now['eta_s']:.0f} s left" if now.get("eta_s") is not None else ""
        parts.append(f"{search['phase']}{share}{left}")
    parts.append(f"{search['num_told']} trials")
    if search.get("hypervolume") is not None:
        parts.append(f"hypervolume {search['hypervolume']:.5g}, front {search['front_size']}")
    if search.get("normalised_hypervolume") is not None:
        parts.append(
            f"{100 * search['normalised_hypervolume']:.1f} % of the true front's, regret {search['regret']:.4g}"
        )
    return " | ".join(parts)


def print_front(found: dict[str, Any], output: Format) -> None:
    """A front as a table, most accurate first."""
    if output is Format.table and found["stage"] == "search":
        print_search_front(found)
        return
    rows = [front_row(member) for member in found["members"]]
    columns = ["trial", "accuracy select", "accuracy test", "macs", "params", "latency ms", "p10 - p90"]
    columns[1:1] = [f"{name} {split}" for name in found["axes"] if name in SCORES for split in ("select", "test")]
    if output is Format.json:
        print_facts(found, output)
    else:
        print_rows(sorted(rows, key=lambda row: row["macs"] or 0), columns, output)
        out.print(f"hypervolume {show(found.get('hypervolume'))}")


def print_search_front(found: dict[str, Any]) -> None:
    """A front of the search stage by its own axes: metrics that were looked up, or scores on the search split."""
    rows = [
        {"trial": member["number"], "id": member["id"], "adds": gain}
        | {
            axis: member.get(axis) if member.get(axis) is not None else member["metrics"].get(axis)
            for axis in found["axes"]
        }
        for member, gain in zip(found["members"], found["contributions"], strict=True)
    ]
    print_rows(rows, ["trial", "id", *found["axes"], "adds"], Format.table)
    out.print(f"hypervolume {show(found.get('hypervolume'))} after {found['num_evaluations']} evaluations")
    if found.get("normalised_hypervolume") is not None:
        out.print(f"{100 * found['normalised_hypervolume']:.2f} % of the true front's, regret {show(found['regret'])}")


def front_row(member: dict[str, Any]) -> dict[str, Any]:
    """What people compare of one finalist: accuracies with 95 % intervals, costs, measured latency with spread."""
    test = (member.get("metrics") or {}).get("test") or {}
    spread = None
    if member.get("latency_p10_ms") is not None:
        spread = f"{member['latency_p10_ms']:.3f} - {member['latency_p90_ms']:.3f}"
    scores = {f"{name} select": (member.get("metrics") or {}).get(name) for name in SCORES}
    return {
        "trial": member["number"],
        "id": member["id"],
        **scores,
        **{f"{name} test": test.get(name) for name in SCORES},
        "accuracy select": with_interval(member.get("accuracy_top1"), (member.get("metrics") or {}).get("num_samples")),
        "accuracy test": with_interval(test.get("accuracy_top1"), test.get("num_samples")),
        "macs": member.get("macs"),
        "params": member.get("params"),
        "latency ms": None if member.get("latency_ms") is None else f"{member['latency_ms']:.3f}",
        "p10 - p90": spread,
    }


def with_interval(accuracy: float | None, n: int | None) -> str | None:
    """A proportion with its 95 % Wilson interval."""
    if accuracy is None:
        return None
    if not n:
        return f"{accuracy:.4f}"
    z = 1.96
    middle = (accuracy + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((accuracy * (1 - accuracy) / n + z * z / (4 * n * n)) ** 0.5) / (1 + z * z / n)
    return f"{accuracy:.4f} [{middle - half:.3f}, {middle + half:.3f}]"


def _act(search_id: str, action: str) -> None:
    with connect() as nas:
        search = nas.post(f"/v1/searches/{search_id}/{action}")
    progress.print(f"{search['name']}: {search['state']}")
