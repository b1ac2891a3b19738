"""Totals over one batch run of a program: macs, params, activations, and the peak of live activations."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from search_spaces.interpreting.flows import Visit
from search_spaces.interpreting.machine import Machine
from search_spaces.language.operations import logical_and, logical_not

_SUMS = ("macs", "params", "activations")


def batch_costs(machine: Machine, n: int, with_peak: bool) -> dict[str, np.ndarray]:
    """Totals over a run's visits, each int64 (n,): macs, params, activations, and peak bytes.

    The params of a key count once for each width in which nodes use it.
    """
    sums = {name: _Sum(n) for name in _SUMS}
    shared: defaultdict[str, list[Any]] = defaultdict(list)
    for visit in machine.visits:
        cost = visit.cost
        assert cost is not None
        sums["macs"].add(cost.macs, visit.mask)
        sums["activations"].add(cost.activations, visit.mask)
        if visit.op.key in machine.program.shared_keys:
            shared[visit.op.key].append(np.broadcast_to(cost.params * visit.mask, (n,)))
        else:
            sums["params"].add(cost.params, visit.mask)
    for uses in shared.values():
        widths = np.sort(uses, axis=0)
        widths[1:][widths[1:] == widths[:-1]] = 0
        sums["params"].add(widths.sum(axis=0), True)
    totals = {name: part.total() for name, part in sums.items()}
    if with_peak:
        totals["peak_activation_bytes"] = 4 * _peak_elements(machine, n, _LastUses(machine, n))
    return totals


class _Sum:
    """A sum over visits. Numbers that share a mask, and columns that occur often, are added up before they are used."""

    def __init__(self, n: int) -> None:
        self.constant, self.columns = 0, np.zeros(n, dtype=np.int64)
        self.masked: dict[int, list[Any]] = {}
        self.often: dict[int, list[Any]] = {}

    def add(self, number: Any, mask: Any) -> None:
        if isinstance(number, np.ndarray) and mask is True:
            entry = self.often.setdefault(id(number), [number, 0])
            entry[1] += 1
        elif isinstance(number, np.ndarray):
            self.columns += number * mask
        elif number and mask is True:
            self.constant += int(number)
        elif number:
            entry = self.masked.setdefault(id(mask), [mask, 0])
            entry[1] += int(number)

    def total(self) -> np.ndarray:
        for part, factor in (*self.masked.values(), *self.often.values()):
            self.columns += part if factor == 1 else part * np.int64(factor)
        return self.columns + self.constant


class _LastUses:
    """Per value and architecture the number (from 1) of the visit that reads it last; 0 where nobody does."""

    def __init__(self, machine: Machine, n: int) -> None:
        self.everywhere = np.arange(n)
        self.uniform: dict[int, int] = {}  # reads by visits that every architecture has
        self.varying: set[int] = set()
        self.table = np.zeros((machine.program.num_steps + 1, n), dtype=np.int16)
        for number, visit in enumerate(machine.visits, start=1):
            for position, flow in enumerate(visit.inputs):
                here = visit.reads(position)
                if here is True and not isinstance(flow.ids, np.ndarray):
                    self.uniform[machine.slot(flow.ids)] = number
                    continue
                self.varying.update(map(machine.slot, flow.among))
                if isinstance(flow.ids, np.ndarray):
                    rows = here if isinstance(here, np.ndarray) else slice(None) if here else slice(0)
                    self.table[flow.ids[rows], self.everywhere[rows]] = number
                elif isinstance(here, np.ndarray):
                    self.table[machine.slot(flow.ids)][here] = number
        for value in self.varying:
            if value in self.uniform:
                np.maximum(self.table[value], self.uniform[value], out=self.table[value])

    def of(self, ids: Any) -> Any:
        """Of one value (int or column), or of one value per architecture."""
        if isinstance(ids, np.ndarray):
            return self.table[ids, self.everywhere]
        return self.table[ids] if ids in self.varying else self.uniform.get(ids, 0)


def _peak_elements(machine: Machine, n: int, last: _LastUses) -> np.ndarray:
    """Per architecture: the largest, over its nodes, of the node's own peak plus all other live values."""
    live: Any = machine.registers[0].size * (last.of(0) > 0)
    peak = np.zeros(n, dtype=np.int64)
    for number, visit in enumerate(machine.visits, start=1):
        assert visit.cost is not None
        reading, freed = _read(machine, visit, number, last)
        total = live - reading + visit.cost.peak_elements
        np.maximum(peak, total if visit.mask is True else total * visit.mask, out=peak)
        made = visit.out.size * (last.of(machine.slot(visit.op.step + 1)) > 0)
        change = made - freed
        live = live + (change if visit.mask is True else change * visit.mask)
    return peak


def _read(machine: Machine, visit: Visit, number: int, last: _LastUses) -> tuple[Any, Any]:
    """Elements that a visit reads (a value read twice is alive once), and those that nobody reads later."""
    reading: Any = 0
    freed: Any = 0
    seen: list[tuple[Any, Any]] = []
    for position, flow in enumerate(visit.inputs):
        here = True if visit.used is None else visit.used[position]
        ids = flow.ids if isinstance(flow.ids, np.ndarray) else machine.slot(flow.ids)
        for others, before in seen:
            same = ids == others
            if isinstance(same, np.ndarray) or same:
                here = logical_and(here, logical_not(logical_and(before, same)))
        seen.append((ids, here))
        if here is False:
            continue
        size = flow.size if here is True else flow.size * here
        reading = reading + size
        freed = freed + size * (last.of(ids) == number)
    return reading, freed
