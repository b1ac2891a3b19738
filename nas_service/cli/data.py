"""`nas data`: register data sets, on the machine of the artifact store; users over REST only name them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli.connection import connect, database
from nas_service.cli.output import Format, FormatOption, ListFormat, ListOption, print_facts, print_rows
from nas_service.datasets.dataset import build_dataset
from nas_service.datasets.errors import DatasetError
from nas_service.datasets.ingest import READERS, detect_format
from nas_service.datasets.roots import resolve_inside
from nas_service.datasets.splits import SplitPlan
from nas_service.datasets.store import DatasetStore
from nas_service.settings import Settings
from nas_service.storage import datasets
from nas_service.storage.session import Engine, unit_of_work

app = typer.Typer(no_args_is_help=True, help="Data sets.")


@app.command("list")
def list_datasets(output: ListOption = ListFormat.table) -> None:
    """Registered data sets.

    Example: nas data list
    """
    with connect() as nas:
        rows = [row | {"samples": row["manifest"]["num_samples"]} for row in nas.pages("/v1/datasets")]
    print_rows(rows, ["id", "name", "samples", "created_at"], output)


@app.command()
def add(
    name: str,
    path: Annotated[
        Path, typer.Argument(help="a folder of class folders, an .npz, .csv, .tsv, .jsonl, .parquet or .txt file")
    ],
    root: Annotated[list[Path] | None, typer.Option(help="allowed roots; default: the current directory")] = None,
    size: Annotated[int | None, typer.Option(help="images are brought to this height and width")] = None,
    channels: Annotated[int | None, typer.Option(help="1 (grey) or 3 (colour)")] = None,
    label: Annotated[str | None, typer.Option(help="tables: the column with the class")] = None,
    image: Annotated[str | None, typer.Option(help="tables: the column with images or their paths")] = None,
    text: Annotated[
        str | None, typer.Option(help="tables: the column with text; without --label for language models")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="text: word, character or byte")] = None,
    length: Annotated[int | None, typer.Option(help="text: tokens of a sample; default 64")] = None,
    vocabulary: Annotated[int | None, typer.Option(help="text: largest number of tokens")] = None,
    split: Annotated[str | None, typer.Option(help="tables: a column that names the split")] = None,
    group: Annotated[str | None, typer.Option(help="tables: rows of one group stay in one split")] = None,
    seed: Annotated[int, typer.Option(help="seed of the split")] = 0,
    output: FormatOption = Format.table,
) -> None:
    """Read, check, split and store a data set.

    Example: nas data add pets ./pets --size 32
    """
    real = resolve_inside(path, root or [Path.cwd()])
    kind = detect_format(real)
    if kind == "table" and text is not None:
        kind = "text"
    of_text = {"--tokenizer": tokenizer, "--length": length, "--vocabulary": vocabulary}
    for option, value in of_text.items():
        if kind != "text" and value is not None:
            raise DatasetError(option, f"says nothing about a data set of kind {kind}", "--text COLUMN, or a .txt file")
    options: dict[str, Any] = {}
    if kind in ("image_folder", "table"):
        options |= {"size": (size, size) if size else None, "channels": channels}
    if kind == "table":
        if label is None:
            raise DatasetError(
                str(path),
                "a table needs --label",
                "the name of the column with the class, or --text for language models",
            )
        options |= {"label": label, "image": image, "split": split, "group": group}
    if kind == "text":
        options |= {"text": text, "label": label, "split": split, "group": group}
        options |= {"tokenizer": tokenizer, "length": length, "vocabulary": vocabulary}
    dataset = build_dataset(name, READERS[kind](real, **options), SplitPlan(seed=seed))
    manifest = register(database(), Settings.from_environment(), dataset)
    shown = ["name", "fingerprint", "num_samples", "splits", "duplicates", "skipped"]
    print_facts({key: manifest[key] for key in shown}, output)


def register(engine: Engine, settings: Settings, dataset: Any) -> dict[str, Any]:
    """Write the arrays, then the row: a registered data set always has its files."""
    DatasetStore(settings.artifacts / "datasets").write(dataset)
    with unit_of_work(engine) as session:
        datasets.register(session, name=dataset.name, manifest=dict(dataset.info))
    return dict(dataset.info)
