"""`nas space`: check, size, draw and price a search-space document, without a service."""

from __future__ import annotations

import json
import re
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
    print_facts,
    print_json,
    print_rows,
)
from nas_service.errors import InvalidInput, Problem, allowed
from search_spaces.blocks.registry import BLOCKS
from search_spaces.compiling.program import Gene
from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.library_index import LIBRARY, load_file, load_library
from search_spaces.network import Node
from search_spaces.reference import block_row, param_row
from search_spaces.space import SearchSpace
from search_spaces.views.advice import advice_on
from search_spaces.views.describe import choices_alike, kind_of, network_dot, nodes_alike, pattern, sizes_text
from search_spaces.views.profile import log10_of, most_work, profile_of

app = typer.Typer(no_args_is_help=True, help="Search-space documents.")
SHOWN_BLOCKS, SHOWN_OPTIONS = 30, 10
ONE_A_LINE = "one JSON object a line, as nas space sample prints them"
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
    sizes = {"choice": len(compiled.genes), "architecture": compiled.cardinality}
    print(f"{compiled.name}: " + ", ".join(f"{size} {word}{'s' * (size != 1)}" for word, size in sizes.items()))
    alike: dict[tuple[str, str], list[str]] = {}
    for finding in advice_on(compiled):
        alike.setdefault((finding.pointer, re.sub(r"\d+", "*", finding.message)), []).append(str(finding))
    for texts in alike.values():
        print(f"note: {pattern(texts)}" + (f" ({len(texts)} times)" if len(texts) > 1 else ""))


@app.command()
def blocks(kind: Annotated[str | None, typer.Argument(help="one block")] = None) -> None:
    """The blocks of the language with their parameters.

    Example: nas space blocks mbconv
    """
    if kind is not None and kind not in BLOCKS:
        raise InvalidInput.at("KIND", f"there is no block '{kind}'", suggestion=did_you_mean(kind, BLOCKS))
    if kind is None:
        rows = [block_row(block) for _, block in sorted(BLOCKS.items())]
        print_rows(rows, ["block", "reads", "parameters", "what it is"], Format.table)
        return
    block = BLOCKS[kind]
    print(f"{kind} (inputs: {block_row(block)['reads']}): {block.help}")
    if block.params:
        columns = ["parameter", "default", "values", "what it is"]
        print_rows([param_row(param) for param in block.params], columns, Format.table)


@app.command()
def profile(space: SpaceArgument, samples: int = 1000, seed: int = 0, output: FormatOption = Format.table) -> None:
    """Size of the space and the range of its costs over random architectures and those of least and most work.

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
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            genes = genes_of_line(compiled, line, number)
            print_json({name: int(values[0]) for name, values in compiled.costs(genes[None]).items()})


def genes_of_line(space: SearchSpace, line: str, number: int) -> np.ndarray:
    """The architecture (G,) of a line of JSON. Raises InvalidInput with the line's number where there is none."""
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidInput.at(f"line {number}", "is no JSON", suggestion=ONE_A_LINE) from None
    choices = given.get("choices", given) if isinstance(given, dict) else None
    if not isinstance(choices, dict):
        raise InvalidInput.at(f"line {number}", "is no mapping of choices", suggestion=ONE_A_LINE)
    try:
        return space.genes_of(choices)
    except SpaceError as error:
        problems = tuple(Problem(item.pointer, item.rule, item.message, item.suggestion) for item in error.problems)
        raise InvalidInput(f"line {number} is no architecture of {space.name}", problems=problems) from None


@app.command()
def show(
    space: SpaceArgument,
    seed: Annotated[int | None, typer.Option(help="draw a random member")] = None,
    index: Annotated[int | None, typer.Option(help="the member of this number, from 0")] = None,
    dot: Annotated[bool, typer.Option("--dot", help="the member's network as a DOT graph, nothing else")] = False,
    every: Annotated[bool, typer.Option("--all", help="each choice by itself, all blocks, all parameters")] = False,
) -> None:
    """The choices of a space and the blocks of one member (the one of most work, a random one, or one by number).

    What is alike stands together, with * for the numbers in which the names differ; parameters are those that are not
    the block's defaults.

    Example: nas space show digits-mobile --seed 1
    """
    compiled = load(space)
    if index is not None:
        try:
            genes = compiled.unrank([index])[0]
        except SpaceError as error:
            raise InvalidInput.at("--index", error.message, suggestion=error.suggestion) from None
    else:
        genes = most_work(compiled) if seed is None else compiled.sample(1, np.random.default_rng(seed))[0]
    network = compiled.resolve(genes)
    if dot:
        print(network_dot(network))
        return
    costs = {name: int(values[0]) for name, values in compiled.costs(genes[None]).items()}
    shown = "largest member (by macs)" if index is None and seed is None else "member"
    number = {shown: f"number {compiled.rank(genes[None])[0]}"}
    head = {"name": compiled.name, "architectures": compiled.cardinality, "choices": len(compiled.genes)}
    print_facts(head | number | costs, Format.table)
    groups = [(gene.name, (gene,)) for gene in compiled.genes] if every else choices_alike(compiled.genes)
    print_rows(
        [
            {"choice": name, "times": len(alike), "options": _options(alike[0], every), "ordered": alike[0].ordered}
            for name, alike in groups
        ],
        ["choice", "times", "options", "ordered"],
        Format.table,
    )
    nodes = [(node.key, (node,)) for node in network.nodes] if every else nodes_alike(network.nodes)
    rows = [
        {
            "block": name,
            "times": len(alike),
            "kind": kind_of(alike[0]),
            "parameters": _parameters(alike[0], every),
            "output": sizes_text(alike[0].out_shape),
        }
        for name, alike in nodes
    ]
    limit = len(rows) if every else SHOWN_BLOCKS
    print_rows(rows[:limit], ["block", "times", "kind", "parameters", "output"], Format.table)
    if len(rows) > limit:
        print(f"... and {sum(len(alike) for _, alike in nodes[limit:])} more blocks: --all")


def _options(gene: Gene, every: bool) -> str:
    texts = [str(option) for option in gene.options]
    if len(texts) > SHOWN_OPTIONS and not every:
        texts = [*texts[: SHOWN_OPTIONS - 2], "...", f"{texts[-1]} ({len(texts)} options)"]
    return ", ".join(texts)


def _parameters(node: Node, every: bool) -> str:
    defaults = {param.name: param.default for param in BLOCKS[node.block].params}
    return " ".join(f"{name}={value}" for name, value in node.params.items() if every or value != defaults.get(name))
