"""`nas space`: check, size, draw and price a search-space document, without a service."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from nas_service.cli.output import (
    Format,
    FormatOption,
    ListFormat,
    ListOption,
    out,
    print_facts,
    print_json,
    print_rows,
)
from nas_service.errors import InvalidInput, allowed
from search_spaces.advice import advice_on
from search_spaces.blocks.registry import BLOCKS
from search_spaces.describe import network_dot
from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.library_index import LIBRARY, load_file, load_library
from search_spaces.profile import log10_of, profile_of
from search_spaces.reference import block_row, param_text
from search_spaces.space import SearchSpace

app = typer.Typer(no_args_is_help=True, help="Search-space documents.")
SpaceArgument = Annotated[str, typer.Argument(help="a built-in family's name, or a YAML/JSON file")]


def load(name_or_file: str) -> SearchSpace:
    """The compiled space of a built-in family or of a file."""
    if name_or_file in LIBRARY:
        return load_library(name_or_file)
    if not Path(name_or_file).is_file():
        message = f"{name_or_file!r} is neither a built-in family nor a file"
        raise InvalidInput.at("SPACE", message, suggestion=allowed(name_or_file, LIBRARY))
    return load_file(Path(name_or_file))


@app.command("list")
def list_families(output: ListOption = ListFormat.table) -> None:
    """The built-in families with their sizes.

    Example: nas space list
    """
    rows = []
    for name in LIBRARY:
        space = load_library(name)
        rows.append(
            {"name": name, "choices": len(space.genes), "log10_size": log10_of(space.cardinality), "id": space.id}
        )
    print_rows(rows, ["name", "choices", "log10_size"], output)


@app.command()
def lint(space: SpaceArgument) -> None:
    """Check a document; exit code 2 with every problem found.

    Example: nas space lint space.yaml
    """
    compiled = load(space)
    print(f"{compiled.name}: {len(compiled.genes)} choices, {compiled.cardinality} architectures")
    for finding in advice_on(compiled):
        print(f"note: {finding}")


@app.command()
def blocks(kind: Annotated[str | None, typer.Argument(help="one block")] = None) -> None:
    """The blocks of the language with their parameters.

    Example: nas space blocks mbconv
    """
    if kind is not None and kind not in BLOCKS:
        raise SpaceError("", "block", f"no block '{kind}'", did_you_mean(kind, BLOCKS))
    rows = [block_row(block) for name, block in sorted(BLOCKS.items()) if kind in (None, name)]
    print_rows(rows, ["block", "reads", "parameters", "what it is"], Format.table)
    if kind is not None:
        for param in BLOCKS[kind].params:
            print(f"{param_text(param)}: {param.help}")


@app.command()
def profile(space: SpaceArgument, samples: int = 1000, seed: int = 0, output: FormatOption = Format.table) -> None:
    """Size of the space and the range of its costs over random architectures and the landmarks.

    Example: nas space profile digits-mobile --samples 200
    """
    print_facts(profile_of(load(space), samples, seed), output)


@app.command()
def sample(space: SpaceArgument, n: int = 1, seed: int = 0) -> None:
    """Random architectures, uniformly over the space; one JSON object a line.

    Example: nas space sample digits-mobile --n 3 --seed 1
    """
    compiled = load(space)
    for row in compiled.sample(n, np.random.default_rng(seed)):
        architecture = compiled.architecture(row)
        print_json({"hash": architecture.hash, "choices": architecture.choices})


@app.command()
def cost(space: SpaceArgument) -> None:
    """Costs of architectures read from standard input, one JSON object of choices a line.

    Example: nas space sample digits-mobile --n 3 | nas space cost digits-mobile
    """
    compiled = load(space)
    for line in sys.stdin:
        if line.strip():
            given = json.loads(line)
            genes = compiled.genes_of(given.get("choices", given))
            print_json({name: int(values[0]) for name, values in compiled.costs(genes[None]).items()})


@app.command()
def show(
    space: SpaceArgument,
    seed: Annotated[int | None, typer.Option(help="draw a random member")] = None,
    index: Annotated[int | None, typer.Option(help="the member of this number, from 0")] = None,
    dot: Annotated[bool, typer.Option("--dot", help="the member's network as a DOT graph, nothing else")] = False,
) -> None:
    """The choices of a space and the blocks of one member (the largest, a random one, or one by number).

    Example: nas space show digits-mobile --seed 1
    """
    compiled = load(space)
    if index is not None:
        genes = compiled.unrank([index])[0]
    else:
        genes = compiled.largest() if seed is None else compiled.sample(1, np.random.default_rng(seed))[0]
    network = compiled.resolve(genes)
    if dot:
        print(network_dot(network))
        return
    print_rows(
        [{"choice": g.name, "options": ", ".join(map(str, g.options)), "ordered": g.ordered} for g in compiled.genes],
        ["choice", "options", "ordered"],
        Format.table,
        title=compiled.name,
    )
    rows = [
        {
            "block": node.key,
            "kind": node.block,
            "parameters": " ".join(f"{name}={value}" for name, value in node.params.items()),
            "output": "x".join(str(size) for size in vars(node.out_shape).values()),
        }
        for node in network.nodes
    ]
    print_rows(rows, ["block", "kind", "parameters", "output"], Format.table)
    out.print({"number": compiled.rank(genes[None])[0]})
    out.print({name: int(values[0]) for name, values in compiled.costs(genes[None]).items()})
