"""`nas demo`: one search on handwritten digits, end to end, with the controls that say whether the search helped."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.live import Live

from nas_service.cli.demo_plot import save_plot
from nas_service.cli.fronts import front_row, print_front
from nas_service.cli.output import Format, ListFormat, out, print_rows, progress
from nas_service.cli.searches import status_line
from nas_service.cli.up import running
from nas_service.client import Client
from nas_service.client_types import Search, Trial
from nas_service.errors import NasError
from nas_service.settings import Settings
from nas_service.storage import keys
from nas_service.storage.session import make_engine, unit_of_work

TRIALS = 240
FINALISTS = 12
SEED = 1
LATENCY_LIMIT_MS = 5.0
FOLDER = Path("nas-demo")


@dataclass
class Phases:
    """Seconds spent in each part of the demo."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str):
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)


def demo(show: Callable[[Client, Phases], None], *, keep: bool = False) -> None:
    """Start the service and ``show`` what it does. Raises ``NasError`` when a search fails."""
    phases = Phases()
    settings = Settings.from_environment()
    settings = replace(settings, port=_free_port(settings.host, settings.port))
    began = time.monotonic()
    with running(settings) as (supervisor, _):
        phases.seconds["start of the service"] = round(time.monotonic() - began, 1)
        url = f"http://{settings.host}:{settings.port}"
        token = _key(supervisor.database_url)
        progress.print(f"service: {url}/ui/   home: {settings.home}")
        with Client(url, token) as nas:
            show(nas, phases)
            print_rows(
                [{"phase": name, "seconds": seconds} for name, seconds in phases.seconds.items()],
                ["phase", "seconds"],
                Format.table,
                title=f"{time.monotonic() - began:.0f} s in all",
            )
        if keep:
            progress.print(f"still running: {url}/ui/ with the key {token}  (Ctrl-C stops it)", soft_wrap=True)
            while True:
                supervisor.check()
                time.sleep(0.5)


def demo_digits(nas: Client, phases: Phases) -> None:
    """Train, search, measure and download on handwritten digits; files go to ``./nas-demo``."""
    request = _request("digits demo", {"name": "nsga2"}, TRIALS)
    search = run_search(nas, phases, request | {"finalists": {"count": FINALISTS}})
    shared = {"supernet_id": search["supernet_id"]}
    controls = {
        "random search": run_search(nas, phases, _request("control: random", {"name": "random"}, TRIALS, shared)),
        "uniform scaling": run_search(
            nas, phases, _request("control: uniform", {"name": "uniform_scaling"}, 16, shared)
        ),
    }
    final = nas.front(search["id"])
    members = sorted(final["members"], key=lambda member: member["accuracy_top1"] or 0.0)
    best = members[-1]
    chosen = members[len(members) // 2]
    choices = nas.get(f"/v1/architectures/{chosen['architecture_hash']}")["choices"]
    alone = run_search(
        nas,
        phases,
        _request("control: one finalist alone", {"name": "fixed", "params": {"architectures": [choices]}}, 1, shared)
        | {"finalists": {"count": 1, "mode": "retrain"}},
    )

    out.rule("final front: accuracy on select and test with 95 % interval, latency measured")
    print_front(final, ListFormat.table)
    _compare(nas, search, controls)
    _say_alone(chosen, nas.front(alone["id"])["members"][0])
    with phases.timed("export and download"):
        export = nas.wait_for_export(nas.post("/v1/exports", {"trial_id": chosen["id"]})["id"])
        paths = nas.download(export, FOLDER / "model")
    fronts = {name: nas.front(found["id"], "search")["members"] for name, found in controls.items()}
    picture = save_plot(FOLDER / "front.png", members, fronts)
    best_test = max((member["metrics"].get("test") or {}).get("accuracy_top1", 0.0) for member in members)
    out.rule("where everything is")
    out.print(f"front: {len(members)} non-dominated points; best test accuracy {best_test:.4f}")
    out.print(f"most accurate finalist: {front_row(best)['accuracy test']}")
    out.print(f"exported trial {chosen['number']} to {paths[0].parent} ({len(paths)} files, SHA-256 verified)")
    out.print(f"plot: {picture}")


def _request(
    name: str, strategy: dict[str, Any], trials: int, evaluator: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "space": {"library": "digits-mobile"},
        "dataset": "digits",
        "objectives": [
            {"metric": "accuracy_top1"},
            {"metric": "macs"},
            {
                "metric": "latency_ms",
                "optimize": False,
                "constraint": {"maximum": LATENCY_LIMIT_MS},
                "runtime": "torch",
            },
        ],
        "evaluator": evaluator or {},
        "strategy": strategy,
        "budget": {"trials": trials},
        "finalists": {"count": 1},
        "seed": SEED,
    }


def run_search(nas: Client, phases: Phases, request: dict[str, Any]) -> Search:
    """Create a search and follow it to its end. Raises NasError when it does not succeed."""
    created = nas.create_search(request)
    with phases.timed(request["name"]), Live(console=progress, refresh_per_second=4, transient=True) as live:
        search = nas.wait(created["id"], on_change=lambda now: live.update(status_line(now)))
    progress.print(status_line(search))
    if search["state"] != "succeeded":
        raise NasError(f"search {search['id']} {search['state']}: {search.get('error')}")
    return search


def _compare(nas: Client, search: Search, controls: dict[str, Search]) -> None:
    """Hypervolume in (accuracy, MACs) on the search split: equal reference point, so the numbers compare."""
    rows: list[dict[str, Any]] = [
        {"search": "nsga2 (this search)", "evaluations": search["num_told"], "hypervolume": search["hypervolume"]}
    ]
    rows += [
        {"search": name, "evaluations": found["num_told"], "hypervolume": found["hypervolume"]}
        for name, found in controls.items()
    ]
    for row in rows:
        row["ratio"] = row["hypervolume"] / search["hypervolume"]
    print_rows(rows, ["search", "evaluations", "hypervolume", "ratio"], Format.table, title="did the search help?")
    better = [row["search"] for row in rows[1:] if row["hypervolume"] >= search["hypervolume"]]
    if better:
        out.print(f"The search did NOT help here: {', '.join(better)} did as well or better.")
    else:
        out.print("The search found a larger front than every control.")


def _say_alone(chosen: Trial, alone: Trial) -> None:
    inherited = (chosen["metrics"].get("test") or {}).get("accuracy_top1")
    trained = (alone["metrics"].get("test") or {}).get("accuracy_top1")
    if inherited is None or trained is None:
        raise NasError("a finalist has no score on the test split")
    out.print(
        f"Finalist {chosen['number']} with inherited weights: {inherited:.4f} on test; "
        f"the same architecture trained alone: {trained:.4f}."
    )


def _key(database_url: str) -> str:
    engine = make_engine(database_url)
    with unit_of_work(engine) as session:
        token = keys.create_key(session, "demo", ["admin"], 24 * 3600.0).token
    engine.dispose()
    return token


def _free_port(host: str, wanted: int) -> int:
    """The configured port, or any free one when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            probe.bind((host, 0))
        return probe.getsockname()[1]
