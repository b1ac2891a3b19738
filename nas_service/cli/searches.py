"""`nas search`, `nas front`, `nas export`: start, follow and steer searches, and fetch what they found."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.text import Text

from nas_service.cli.connection import connect
from nas_service.cli.fronts import print_front
from nas_service.cli.output import Format, FormatOption, ListFormat, ListOption, print_facts, print_rows, progress
from nas_service.cli.search_request import described
from nas_service.client import FINISHED, ApiError, Client
from nas_service.client_types import Search

app = typer.Typer(no_args_is_help=True, help="Searches.")
exports = typer.Typer(no_args_is_help=True, help="Downloads of finalists.")
COLUMNS = ["id", "name", "state", "phase", "num_told", "front_size", "hypervolume", "created_at"]
LISTED = ["id", "name", "state", "num_told", "created_at"]


@app.command()
@described
def create(
    body: dict[str, Any],
    wait: Annotated[bool, typer.Option(help="follow it to the end; Ctrl-C detaches")] = False,
    output: FormatOption = Format.table,
) -> None:
    """Start a search. With --wait exit code 1 unless it succeeds.

    Example: nas search create --dataset pets --objective accuracy_top1 --objective 'macs<1e6' --wait

    --file takes the body of `POST /v1/searches`, as YAML or JSON:

    \b
    name: small pets
    space: digits-mobile       # a built-in family, the id of a stored space,
                               # or a document beside this file: mine.yaml
    dataset: pets
    objectives:
      - metric: accuracy_top1
      - metric: macs
        constraint: {maximum: 2e6}
    evaluator:
      recipe:                  # how the supernet is trained
        name: sandwich
        params: {optimiser: adamw, learning_rate: 2e-3, num_epochs: 30}
    strategy: {name: nsga2}
    budget: {trials: 200}
    finalists: {count: 8}
    """
    with connect() as nas:
        search = nas.create_search(body)
        if wait:
            progress.print(f"search {search['id']}")
            _follow_and_print(nas, search["id"], output)
        else:
            _print_search(search, output)


@app.command()
@described
def plan(body: dict[str, Any], output: FormatOption = Format.table) -> None:
    """What a search would cost; starts nothing.

    Example: nas search plan --file request.yaml
    """
    with connect() as nas:
        print_facts(nas.plan_search(body), output)


@app.command("list")
def list_searches(output: ListOption = ListFormat.table) -> None:
    """All searches, newest first.

    Example: nas search list -o csv
    """
    with connect() as nas:
        print_rows(nas.pages("/v1/searches"), LISTED, output)


@app.command("show")
def show_search(search_id: str, output: FormatOption = Format.table) -> None:
    """One search.

    Example: nas search show SEARCH_ID -o yaml
    """
    with asking_about(search_id) as nas:
        search: Mapping[str, Any] = nas.search(search_id)
    if output is Format.table:  # what it is to do is long, and behind what it does
        spec = {"spec": search["spec"]}
        search = {name: value for name, value in search.items() if name not in spec}
        search = search | {"warnings": warnings_of(search)} | spec
    print_facts(search, output)


@app.command()
def watch(search_id: str, output: FormatOption = Format.table) -> None:
    """Follow a search to its end; Ctrl-C detaches, the search goes on. Exit code 1 unless it succeeds.

    Example: nas search watch SEARCH_ID
    """
    with asking_about(search_id) as nas:
        _follow_and_print(nas, search_id, output)


@app.command()
def pause(search_id: str, output: FormatOption = Format.table) -> None:
    """Start nothing new; finish what runs.

    Example: nas search pause SEARCH_ID
    """
    with asking_about(search_id) as nas:
        _print_search(nas.pause(search_id), output)


@app.command()
def resume(search_id: str, output: FormatOption = Format.table) -> None:
    """Go on with a paused search.

    Example: nas search resume SEARCH_ID
    """
    with asking_about(search_id) as nas:
        _print_search(nas.resume(search_id), output)


@app.command()
def cancel(search_id: str, output: FormatOption = Format.table) -> None:
    """End a search; its trials stay.

    Example: nas search cancel SEARCH_ID
    """
    with asking_about(search_id) as nas:
        _print_search(nas.cancel(search_id), output)


def front(
    search_id: str,
    stage: Annotated[str | None, typer.Option(help="search: predicted latency; final: measured")] = None,
    at_evaluation: Annotated[int | None, typer.Option(help="the search front after so many trials")] = None,
    device: Annotated[str | None, typer.Option(help="latencies of this device, not the search's own")] = None,
    output: ListOption = ListFormat.table,
) -> None:
    """The Pareto front of a search.

    Example: nas front SEARCH_ID --stage search --at-evaluation 50
    """
    with asking_about(search_id) as nas:
        print_front(nas.front(search_id, stage, at_evaluation=at_evaluation, device=device), output)
        print_warnings(nas.search(search_id))


@exports.command("download")
def download(trial_id: str, folder: Path, output: ListOption = ListFormat.table) -> None:
    """Make the export of a finalist, download its files, verify their checksums. Goes on with a broken download.

    Example: nas export download TRIAL_ID ./model
    """
    with connect() as nas:
        export = nas.wait_for_export(nas.create_export(trial_id)["id"])
        paths = nas.download(export, folder)
        print_rows([{"file": str(path), "bytes": path.stat().st_size} for path in paths], ["file", "bytes"], output)
        try:
            print_warnings(nas.search(nas.trial(trial_id)["search_id"]))
        except ApiError as error:
            if error.status != 403:  # a key may be one for downloads alone
                raise


@contextmanager
def asking_about(search_id: str) -> Iterator[Client]:
    """A client, for what concerns one search. Where there is no such search the error says which one may be meant."""
    with connect() as nas:
        try:
            yield nas
        except ApiError as error:
            if error.status != 404 and [field["pointer"] for field in error.fields] != ["#path/search_id"]:
                raise
            latest = {search["id"]: search["name"] for search in islice(nas.searches(), 200)}
            named = [known for known, name in latest.items() if name == search_id]
            near = named or difflib.get_close_matches(search_id, latest, 1, cutoff=0.9)
            message = f"there is no search {search_id!r}"
            hint = f"did you mean {near[0]} ({latest[near[0]]!r})?" if near else "`nas search list` shows their ids"
            field = {"pointer": "", "message": message, "suggestion": hint}
            raise ApiError({**error.problem, "detail": message, "errors": [field]}) from None


def follow(nas: Client, search_id: str) -> Search:
    """Show progress on standard error until the search ends: one line that changes, or a line for each new phase."""
    try:
        if progress.is_terminal:
            with Live(console=progress, refresh_per_second=4, transient=True) as live:
                search = nas.wait(search_id, on_change=lambda now: live.update(status_line(now)))
        else:
            search = nas.wait(search_id, on_change=_Phases())
    except KeyboardInterrupt:
        progress.print(f"detached; the search goes on: nas search watch {search_id}", soft_wrap=True)
        raise
    progress.print(status_line(search), soft_wrap=True)
    return search


class _Phases:
    """Prints a line when a search has reached another state or phase or waits for a device, for logs."""

    def __init__(self) -> None:
        self.last: tuple[object, ...] = ()

    def __call__(self, now: Search) -> None:
        waiting = now["progress"]["waiting_for"] if now["progress"] else None
        reached = (now["state"], now["phase"], waiting is not None)
        if reached != self.last and now["state"] not in FINISHED:
            progress.print(status_line(now), soft_wrap=True)
        self.last = reached


def _follow_and_print(nas: Client, search_id: str, output: Format) -> None:
    search = follow(nas, search_id)
    _print_search(search, output)
    if search["state"] != "succeeded":
        raise typer.Exit(1)


def _print_search(search: Search, output: Format) -> None:
    """All of it for programs, the usual columns as a table."""
    found: Mapping[str, Any] = search
    print_facts({name: found.get(name) for name in COLUMNS} if output is Format.table else found, output)
    if output is Format.table:
        print_warnings(found)


def print_warnings(search: Mapping[str, Any]) -> None:
    """What went wrong without ending the search, and what to change; on standard error."""
    for text in warnings_of(search):
        progress.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)


def warnings_of(search: Mapping[str, Any]) -> list[str]:
    """A sentence for each warning."""
    return [f"{warning['message']}; {warning['suggestion']}" for warning in search["warnings"]]


def status_line(search: Mapping[str, Any]) -> str:
    """One line: state, phase, share done, time left, trials, hypervolume."""
    now = search.get("progress") or {}
    parts = [f"{search['name']}: {search['state']}"]
    if search["state"] not in FINISHED:
        share = f" {100 * now['fraction']:.0f} %" if now.get("fraction") is not None else ""
        left = f", about {now['eta_s']:.0f} s left" if now.get("eta_s") is not None else ""
        waiting = now.get("message") if now.get("waiting_for") else None
        parts.append(waiting or f"{search['phase']}{share}{left}")
    spent = search.get("full_evaluations")
    less = f" (cost of {spent:.4g} full ones)" if spent is not None and spent < 0.999 * search["num_told"] else ""
    parts.append(f"{search['num_told']} trials{less}")
    if search.get("hypervolume") is not None:
        parts.append(f"hypervolume {search['hypervolume']:.5g}, front {search['front_size']}")
    if search.get("normalised_hypervolume") is not None:
        parts.append(
            f"{100 * search['normalised_hypervolume']:.1f} % of the true front's, regret {search['regret']:.4g}"
        )
    codes = [warning["code"] for warning in search.get("warnings", ())]
    parts += [f"warning: {code}" for code in codes if code != "device_away"]  # that stands in place of the phase
    if search.get("error"):
        parts.append(search["error"]["message"])
    return " | ".join(parts)
