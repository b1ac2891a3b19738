"""Finds what is impossible in a space when its document is compiled, not in the middle of a search.

A batch of architectures runs through the program at once, and tells where some condition of a block fails: all of a
small space, else many that hold every option and, but for rare ones, every pair of options of two choices. One
architecture of each such place is then resolved by itself, which gives the errors; so are a few that hold every option
between them.
"""

from __future__ import annotations

import itertools
import re

import numpy as np

from search_spaces.compiling.program import IncompleteError, Program
from search_spaces.counting.counter import Counter
from search_spaces.counting.operators import Operators
from search_spaces.counting.ranking import members
from search_spaces.errors import Problem, SpaceError
from search_spaces.interpreting.fault_finding import Fault, FaultFinder
from search_spaces.interpreting.flows import Unknown, described
from search_spaces.interpreting.resolve import resolve_network
from search_spaces.network import Network
from search_spaces.shapes import ImageShape, Shape, TokensShape, VectorShape

MAX_BATCH = 2_048
MAX_BATCH_WORK = 2**20  # architectures times nodes and options
MAX_RESOLVED = 14
MAX_RESOLVED_NODES = 10_000
MAX_COVERED = 64  # options of a choice, above which they are like numbers: neighbours are alike
MAX_FORCED = 1_000  # choices visited to force options that no draw has
MAX_PROBLEMS = 20
MAX_COST = 2**53
Identity = tuple[str, str, str]
_NUMBERS = re.compile(r"[-0-9.]+|channels|height|width|length|features")


def problems_of(program: Program, operators: Operators, landmarks: np.ndarray) -> list[Problem]:
    """What is wrong with some architecture, an example for each place and rule; `landmarks` (n, G) are among them."""
    num_steps = max(1, program.num_steps)
    work = num_steps + sum(operators.counter.sizes)
    pool = varied(operators, max(64, min(MAX_BATCH, MAX_BATCH_WORK // work)))
    doubts = doubts_about(program, pool)
    few = max(2, min(MAX_RESOLVED, MAX_RESOLVED_NODES // num_steps))
    by_place = {pointer: place for place in reversed(doubts.wrong) for pointer in place[:1]}
    examples = [pool[int(np.argmax(doubts.wrong[place]))] for place in list(by_place.values())[: MAX_PROBLEMS + few]]
    faults = {_identity(fault): fault for fault in doubts.found}
    seen: list[tuple[np.ndarray, dict[Identity, Fault]]] = []
    for row in np.unique([*landmarks, *covering(pool, few), *examples], axis=0):
        seen.append((row, {_identity(fault): fault for fault in reversed(_faults_of(program, row))}))
        faults = seen[-1][1] | faults
        if len(faults) >= MAX_PROBLEMS:
            break
    least = 1 if len(pool) == operators.counter.cardinality else 3  # fewer examples out of many prove nothing
    ordered = sorted(faults.values(), key=lambda fault: _in_order(fault.problem.pointer))[:MAX_PROBLEMS]
    result = []
    for fault in ordered:
        wrong = doubts.wrong.get((fault.problem.pointer, fault.key))
        choices = () if wrong is None else cause(wrong, pool, least)
        # Of the architectures that only seem wrong, as they go on behind other faults, none may have these options.
        ones = [found for row, found in seen if all(row[gene] == option for gene, option in choices)]
        shown = all(_identity(fault) in found for found in ones)
        result.append(_explained(fault.problem, choices, program) if choices and shown else fault.problem)
    return result


def with_problems_of_rest(error: IncompleteError) -> list[Problem]:
    """What is wrong with a document of which a part does not compile: that, and what is wrong with the rest."""
    if error.rest is None:
        return list(error.problems)
    try:
        operators = Operators(Counter(error.rest))
    except SpaceError:
        return list(error.problems)  # with what is missing the constraints may be met
    rest = problems_of(error.rest, operators, np.zeros((0, len(error.rest.genes)), dtype=np.int16))
    return (
        sorted([*error.problems, *rest], key=lambda problem: _in_order(problem.pointer))
        if rest
        else list(error.problems)
    )


def _identity(fault: Fault) -> Identity:
    """Equal for what is the same fault with other numbers or sides, or in another layer that a repeat unrolls."""
    message, _, _ = fault.problem.message.partition(" (")
    return fault.problem.pointer, fault.problem.rule, _NUMBERS.sub("*", message)


def _in_order(pointer: str) -> list[tuple[int, str]]:
    """Sorts places as a document has them, what the whole network has at the end."""
    parts = pointer.split("/") if pointer.count("/") > 1 else [pointer, "~"]
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


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


def doubts_about(program: Program, genes: np.ndarray) -> FaultFinder:
    """A run over architectures (n, G) that knows in which of them (bool (n,)) something is wrong at each place."""
    finder = FaultFinder(program, genes)
    out = finder.run().shape
    if program.task.endswith("classification") and program.classes is not None and isinstance(out, VectorShape):
        finder.doubt("/network", "", out.features == program.classes)
    finder.wrong = {place: np.broadcast_to(wrong, (len(genes),)) for place, wrong in finder.wrong.items()}
    return finder


def _faults_of(program: Program, row: np.ndarray) -> list[Fault]:
    """What is wrong with one architecture (G,)."""
    try:
        network = resolve_network(program, row)
    except SpaceError as error:
        finder = FaultFinder(program, row)
        output = _output_faults(program, finder.run().shape)
        return [*finder.found, *output] or [Fault("", problem) for problem in error.problems if finder.all_known]
    return [*_output_faults(program, network.nodes[-1].out_shape), *_size_faults(network)]


def _explained(problem: Problem, choices: tuple[tuple[int, int], ...], program: Program) -> Problem:
    """The problem, with the choices that make it."""
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


def _output_faults(program: Program, out: Shape) -> list[Fault]:
    """What is wrong with the output of a network, as far as its shape is known."""
    task, classes = program.task, program.classes
    if isinstance(out, Unknown) or any(isinstance(number, np.ndarray) for number in vars(out).values()):
        return []
    if task.endswith("classification") and classes is not None and out != VectorShape(classes):
        message = f"a classifier ends with {classes} features, not with {described((out,))}"
        head = "image_head" if isinstance(out, ImageShape) else "sequence_head"
        advice = f'end with {{block: {head}, out: "=classes"}}'
        if isinstance(out, VectorShape):
            advice = 'write out: "=classes" in the last block'
        return [Fault("", Problem("/network", "output", message, advice))]
    if task.endswith("_lm") and not isinstance(out, TokensShape):
        message = f"a language model ends with tokens, not with {described((out,))}"
        return [Fault("", Problem("/network", "output", message))]
    return []


def _size_faults(network: Network) -> list[Fault]:
    cost = network.cost()
    if max(cost.macs, cost.params, cost.activations, cost.peak_activation_bytes) > MAX_COST:
        message = "a network costs more than 2**53 operations, weights or bytes"
        return [Fault("", Problem("/network", "size", message))]
    return []
