"""`nas bench`: strategies against each other on a table, offline and repeatable."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli.output import Format, FormatOption, print_document, print_rows, progress
from nas_service.cli.table_files import open_table_file
from nas_service.cli.table_profile import TableOptions
from nas_service.cli.table_reading import understand
from nas_service.errors import InvalidInput
from nas_service.tables.benchmark import Contest, Outcome, check_name, paired_tests, search_once, summary
from nas_service.tables.builtin import NASBENCH201, NASBENCH201_EPOCHS, nasbench201, nasbench201_epochs
from nas_service.tables.peers import PEERS, require
from nas_service.tables.table import TABLES_FOLDER, Table, load_table

app = typer.Typer(no_args_is_help=True, help="Benchmarks that anyone can repeat offline.")


@app.callback()
def _group() -> None:
    """Benchmarks that anyone can repeat offline."""


@app.command()
def strategies(
    objectives: Annotated[str, typer.Option(help="metrics of the table, separated by commas")],
    table: Annotated[
        str,
        typer.Option(help="nasbench201, nasbench201-epochs, a tab_... of this NAS_HOME, or a .csv or .parquet file"),
    ] = NASBENCH201,
    names: Annotated[
        str,
        typer.Option(
            "--strategies",
            help="the first is tested against the others; successive_halving:NAME says what proposes to it",
        ),
    ] = "auto,nsga2,local_search,random",
    evaluations: Annotated[
        str, typer.Option(help="where the curves are read: what was spent, counted in full evaluations")
    ] = "50,100,200,500",
    seeds: Annotated[int, typer.Option(min=1, max=10_000)] = 30,
    track: Annotated[
        str, typer.Option(help="A: nothing known; B: all objectives but the first known; C: report other metrics")
    ] = "A",
    report: Annotated[str | None, typer.Option(help="track C: the metrics to judge by, as many as objectives")] = None,
    peers: Annotated[str | None, typer.Option(help="others beside: " + ", ".join(PEERS))] = None,
    choices: Annotated[
        str | None, typer.Option(help="of a file: the columns with the choices, if its names do not tell")
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="of a file: col:goal:unit,..., if its names do not tell")] = None,
    fidelity: Annotated[
        str | None, typer.Option(help="of a file: the column with how much was spent, e.g. epochs, if no name tells")
    ] = None,
    parallelism: Annotated[int, typer.Option(min=1, max=1_000, help="trials pending at a time")] = 1,
    processes: Annotated[int, typer.Option(min=1, max=256, help="searches at the same time")] = 1,
    plot: Annotated[Path | None, typer.Option(help="a .png with the curves and their bands")] = None,
    output: FormatOption = Format.table,
) -> None:
    """Searches a table with every strategy and seed; prints means, spreads and paired tests.

    Example: nas bench strategies --table results.csv --objectives accuracy --strategies auto,random --seeds 5
    """
    wanted = [*_list(names), *_list(peers or "")]
    for name in wanted:
        check_name(name)
        if name in PEERS:
            require(name)
    if track not in ("A", "B", "C") or (track == "C") != (report is not None):
        raise InvalidInput.at("--track", "is A, B or C; C, and only C, needs --report")
    counts = _counts(evaluations)
    searched = tuple(_list(objectives))
    reported = tuple(_list(report)) if report is not None else searched
    if len(reported) != len(searched):
        raise InvalidInput.at("--report", f"names {len(reported)} metrics for {len(searched)} objectives")
    if track == "B" and len(searched) < 2:
        raise InvalidInput.at("--track", "B needs two objectives or more: the first is the one that costs something")
    rules = (table, choices, metrics, fidelity, searched, reported, counts, track, parallelism)
    contest = _contest(*rules)
    for judged in (contest.lookup(searched), contest.lookup(reported)):
        if judged.true_front is None:
            raise InvalidInput.at("--objectives", "no true front: nothing in the table has all these metrics")
    rows = []
    with ProcessPoolExecutor(processes) as pool:
        for name in wanted:
            found: list[Outcome] = []
            for outcome in pool.map(_one, [(rules, name, seed) for seed in range(seeds)]):
                found.append(outcome)
                progress.print(f"{name}: {len(found)} of {seeds} searches", end="\r")
            rows.append(summary(name, found, single=len(searched) == 1))
    tests = paired_tests(rows, counts)
    if plot is not None:
        from nas_service.cli.bench_plot import save_curves

        save_curves(plot, rows, counts, ", ".join(reported))
    if output is not Format.table:
        settings: dict[str, Any] = {"table": contest.table.id, "objectives": searched, "report": reported}
        settings |= {"track": track, "parallelism": parallelism, "seeds": seeds}
        print_document({"settings": settings, "evaluations": counts, "results": rows, "tests": tests}, output)
        return
    _print(rows, tests, counts)


def open_table(name: str, choices: str | None, metrics: str | None, fidelity: str | None) -> Table:
    """A table by name, id or file. Raises InvalidInput."""
    if name == NASBENCH201:
        return nasbench201()
    if name == NASBENCH201_EPOCHS:
        return nasbench201_epochs()
    if name.startswith("tab_"):
        from nas_service.settings import Settings

        artifacts = Settings.from_environment().artifacts
        try:
            return load_table(artifacts, name)
        except FileNotFoundError:
            raise InvalidInput.at("--table", f"no file of {name} in {artifacts / TABLES_FOLDER}") from None
    return _table_of_file(Path(name), choices, metrics, fidelity)


def _table_of_file(path: Path, choices: str | None, metrics: str | None, fidelity: str | None) -> Table:
    from nas_service.tables.build import build_table
    from nas_service.tables.definition import TableDefinition

    options = TableOptions(metrics=tuple(_list(metrics or "")), choices=tuple(_list(choices or "")), fidelity=fidelity)
    reading = understand(open_table_file(path), options)
    for note in reading.notes:
        progress.print(f"understood: {note}", markup=False)
    rows = list(reading.rows())
    definition = TableDefinition(
        name=path.stem,
        choices=reading.choices,
        metrics=reading.metrics,
        fidelity=reading.fidelity,
        replicate=reading.replicate,
    )
    return build_table(definition, lambda: [(0, rows)], None)


@cache
def _contest(table: str, choices: str | None, metrics: str | None, fidelity: str | None, *rules: Any) -> Contest:
    return Contest(open_table(table, choices, metrics, fidelity), *rules)


def _one(job: tuple[tuple[Any, ...], str, int]) -> Outcome:
    rules, name, seed = job
    return search_once(_contest(*rules), name, seed)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(sorted({int(part) for part in _list(text)}))
    except ValueError:
        counts = ()
    if not counts or counts[0] < 1 or counts[-1] > 1_000_000:
        raise InvalidInput.at("--evaluations", f"{text!r} is no list of numbers from 1 to 1000000")
    return counts


def _print(rows: list[dict[str, Any]], tests: list[dict[str, Any]], counts: tuple[int, ...]) -> None:
    shown = [
        {"strategy": row["strategy"], "ask p95 ms": row["ask_p95_ms"]}
        | {str(n): f"{m:.4g} ± {s:.2g}" for n, m, s in zip(counts, row["mean"], row["std"], strict=True)}
        for row in rows
    ]
    columns = ["strategy", *(str(n) for n in counts), "ask p95 ms"]
    print_rows(shown, columns, Format.table, title=f"mean ± standard deviation, {rows[0]['seeds']} seeds")
    if tests:
        named = [
            test | {"p_holm": f"{test['p_holm']:.2g}", "wins : losses": f"{test['wins']} : {test['losses']}"}
            for test in tests
        ]
        columns = ["strategy", "against", "evaluations", "difference", "wins : losses", "p_holm"]
        print_rows(named, columns, Format.table, title="Wilcoxon signed ranks over seeds, Holm's correction")
