"""Finds what is impossible in a space when its document is compiled, not in the middle of a search.

A batch of architectures runs through the program at once, and tells where some condition of a block fails: all of a
small space, else many that hold every option and, but for rare ones, every pair of options of two choices. One
architecture of each such place is then resolved by itself, which gives the error; so are a few that hold every option
between them.
"""

from __future__ import annotations

import itertools

import numpy as np

from search_spaces.compiling.program import Program
from search_spaces.counting.operators import Operators
from search_spaces.counting.ranking import members
from search_spaces.errors import Problem, SpaceError
from search_spaces.interpreting.machine import Machine
from search_spaces.interpreting.resolve import resolve_network
from search_spaces.network import Network
from search_spaces.shapes import ImageShape, TokensShape, VectorShape

MAX_BATCH = 2_048
MAX_BATCH_WORK = 2**20  # architectures times nodes and options
MAX_RESOLVED = 14
MAX_RESOLVED_NODES = 10_000
MAX_COVERED = 64  # options of a choice, above which they are like numbers: neighbours are alike
MAX_FORCED = 1_000  # choices visited to force options that no draw has
MAX_PROBLEMS = 5
MAX_COST = 2**53


def problems_of(program: Program, operators: Operators, landmarks: np.ndarray) -> list[Problem]:
    """What is wrong with some architecture, an example for each place and rule; `landmarks` (n, G) are among them."""
    work = program.num_steps + sum(operators.counter.sizes)
    pool = varied(operators, max(64, min(MAX_BATCH, MAX_BATCH_WORK // work)))
    doubtful = doubts_about(program, pool)
    few = max(2, min(MAX_RESOLVED, MAX_RESOLVED_NODES // program.num_steps))
    rows = [*landmarks, *covering(pool, few), *(pool[int(np.argmax(wrong))] for wrong in doubtful.values())]
    problems: dict[tuple[str, str], Problem] = {}
    for row in np.unique(rows, axis=0):
        for problem in _problems_of_one(program, row):
            problems.setdefault((problem.pointer, problem.rule), problem)
        if len(problems) >= MAX_PROBLEMS:
            break
    where = {pointer: wrong for (pointer, _), wrong in reversed(doubtful.items())}
    least = 1 if len(pool) == operators.counter.cardinality else 3  # fewer examples out of many prove nothing
    return [_explained(problem, where, program, pool, least) for problem in problems.values()]


def varied(operators: Operators, n: int) -> np.ndarray:
    """All architectures (m, G) where there are at most n.

    Else about n: a quarter uniform, others by a uniform option for each choice, and some with options that these lack.
    """
    rng = np.random.default_rng(0)
    counter = operators.counter
    if counter.cardinality <= n:
        return members(counter, n)
    drawn = operators.random_fill(n - n // 4, rng)
    genes = counter.canonical(drawn)
    bad = ~counter.satisfied(genes)
    genes[bad] = counter.repair(drawn[bad])
    parts = [genes, counter.sample(n // 4, rng)]
    absent = [
        (gene, option)
        for gene, size in enumerate(counter.sizes)
        for option in sorted(set(range(size)) - {*parts[0][:, gene].tolist(), *parts[1][:, gene].tolist()})
    ]
    for gene, option in absent[: MAX_FORCED // max(1, len(counter.sizes))]:
        given = counter.given(gene, option)
        if given is not None:
            parts.append(given.sample(2, rng))
    return np.concatenate(parts)


def covering(pool: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` architectures of a pool, each the one with most options that those before it lack."""
    rows = np.concatenate([pool[:256], pool[-64:]])
    tops = rows.max(axis=0, initial=0)
    columns = [rows[:, [gene]] == np.arange(top + 1) for gene, top in enumerate(tops) if top < MAX_COVERED]
    has = np.concatenate(columns, axis=1) if columns else np.zeros((len(rows), 1), dtype=bool)
    missing, chosen = has.any(axis=0), [0]
    while missing.any() and len(chosen) < limit:
        chosen.append(int(np.argmax(has[:, missing].sum(axis=1))))
        missing &= ~has[chosen[-1]]
    return rows[chosen]


def doubts_about(program: Program, genes: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """For each place and node (pointer, key) where a condition fails, in which of the architectures (bool (n,))."""
    machine = Machine(program, list(np.ascontiguousarray(genes.T).astype(np.int64)), with_cost=False)
    machine.doubts = {}
    try:
        out = machine.run().shape
    except SpaceError as error:
        # One condition fails wherever its node exists: what lies behind it was not reached.
        machine.doubts[error.pointer, ""] = np.broadcast_to(np.asarray(machine.mask), (len(genes),))
    else:
        if program.task.endswith("classification") and program.classes is not None and isinstance(out, VectorShape):
            machine.doubt("/network", "", out.features == program.classes)
    return {place: np.broadcast_to(wrong, (len(genes),)) for place, wrong in machine.doubts.items()}


def _problems_of_one(program: Program, row: np.ndarray) -> list[Problem]:
    try:
        network = resolve_network(program, row)
    except SpaceError as error:
        return list(error.problems)
    return [problem for problem in (_output_problem(network), _size_problem(network)) if problem]


def _explained(
    problem: Problem, where: dict[str, np.ndarray], program: Program, pool: np.ndarray, least: int
) -> Problem:
    """The problem, with the choices that make it, where one or two of them do."""
    wrong = where.get(problem.pointer)
    choices = () if wrong is None else cause(wrong, pool, least)
    if not choices:
        return problem
    named = [(program.genes[gene].name, program.genes[gene].options[option]) for gene, option in choices]
    text = "so it is wherever " + " and ".join(f"{name} is {option}" for name, option in named)
    return Problem(problem.pointer, problem.rule, f"{problem.message}; {text}", problem.suggestion)


def cause(wrong: np.ndarray, genes: np.ndarray, least: int = 3) -> tuple[tuple[int, int], ...]:
    """The one or two options (gene, option) with which all architectures, `least` or more, are wrong; () for none.

    Of several those that explain most.
    """
    if wrong.all() or not wrong.any():
        return ()
    options = [(gene, option) for gene in range(genes.shape[1]) for option in np.unique(genes[wrong, gene]).tolist()]
    has = {item: genes[:, item[0]] == item[1] for item in options if item[1] >= 0}
    often = sorted(has, key=lambda item: -(has[item] & wrong).sum() / has[item].sum())[:24]
    best: tuple[int, tuple[tuple[int, int], ...]] = (least - 1, ())
    for size in (1, 2):
        for items in itertools.combinations(often, size):
            together = np.logical_and.reduce([has[item] for item in items])
            if not (together & ~wrong).any():
                best = max(best, (int(together.sum()), items), key=lambda found: found[0])
        if best[1]:
            break
    return best[1]


def _output_problem(network: Network) -> Problem | None:
    out = network.nodes[-1].out_shape
    if network.task.endswith("classification") and network.classes is not None:
        if not (isinstance(out, VectorShape) and out.features == network.classes):
            return Problem(
                "/network", "output", f"a classifier ends with {network.classes} features, not with {_shown(out)}",
                "end with a head block",
            )  # fmt: skip
    elif network.task.endswith("_lm") and not isinstance(out, TokensShape):
        return Problem("/network", "output", f"a language model ends with tokens, not with {_shown(out)}")
    return None


def _size_problem(network: Network) -> Problem | None:
    cost = network.cost()
    if max(cost.macs, cost.params, cost.activations, cost.peak_activation_bytes) > MAX_COST:
        return Problem("/network", "size", "a network costs more than 2**53 operations, weights or bytes")
    return None


def _shown(shape: ImageShape | TokensShape | VectorShape) -> str:
    return type(shape).__name__.removesuffix("Shape").lower() + " " + "x".join(map(str, vars(shape).values()))
