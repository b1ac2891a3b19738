"""A table of evaluated architectures in memory and as a file that is named after its content."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.domain.pareto import non_dominated
from nas_service.tables.definition import TableMetric
from search_spaces.space import SearchSpace

TABLES_FOLDER = "tables"
FORMAT_VERSION = 1
_MOST_FRONT_METRICS = 4


@dataclass(frozen=True)
class Table:
    """N architectures, F fidelities, R replicates, K metrics; NaN where there is no value.

    ``genes`` (N, G) in lexicographic order, none twice; ``fidelities`` (F,) ascending; ``values`` (N, F, R, K);
    ``costs`` are exact costs of the space by name, (N,) each, none for a ``flat`` space, which has no real network.
    """

    space: SearchSpace
    flat: bool
    metrics: tuple[TableMetric, ...]
    genes: NDArray[np.int16]
    fidelities: NDArray[np.float64]
    values: NDArray[np.float64]
    costs: dict[str, NDArray[np.int64]]
    fidelity: str | None = None
    replicates: tuple[str, ...] = ()
    attribution: str | None = None

    @cached_property
    def id(self) -> str:
        """``tab_`` and 32 hex digits of the SHA-256 of everything the table says."""
        digest = hashlib.sha256(json.dumps(self._header(), sort_keys=True, allow_nan=False).encode())
        for array in (self.genes, self.fidelities, np.where(np.isnan(self.values), np.nan, self.values)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return "tab_" + digest.hexdigest()[:32]

    @cached_property
    def mean_values(self) -> NDArray[np.float64]:
        """Means over the replicates that have a value, (N, F, K); NaN where none has."""
        counts = np.isfinite(self.values).sum(axis=2)
        return np.where(counts > 0, np.nansum(self.values, axis=2) / np.maximum(counts, 1), np.nan)

    @cached_property
    def row_of(self) -> dict[bytes, int]:
        """From the bytes of int16 genes to the row."""
        return {row.tobytes(): i for i, row in enumerate(self.genes)}

    @property
    def shares(self) -> tuple[float, ...]:
        """The fidelities as shares of the largest, which is 1."""
        return tuple(float(value / self.fidelities[-1]) for value in self.fidelities)

    @property
    def is_sparse(self) -> bool:
        """Whether it holds less than half of its space: then searches propose what it has and nothing else."""
        return 2 * len(self.genes) < self.space.cardinality

    def metric(self, name: str) -> TableMetric | None:
        """The metric of this name, if there is one."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    def column(self, name: str) -> NDArray[np.float64]:
        """Values (N, F, R) of a metric. Raises KeyError."""
        for k, metric in enumerate(self.metrics):
            if metric.name == name:
                return self.values[..., k]
        raise KeyError(name)

    @property
    def front_size(self) -> int | None:
        """Architectures that no other one surpasses in all metrics, of those that have them all, at full fidelity;
        None with more than four metrics, where nearly all would."""
        if len(self.metrics) > _MOST_FRONT_METRICS:
            return None
        signs = np.array([1.0 if metric.goal == "minimize" else -1.0 for metric in self.metrics])
        full = self.mean_values[:, -1]
        points = full[np.isfinite(full).all(axis=1)] * signs
        return int(non_dominated(points).sum()) if len(points) else 0

    def manifest(self) -> dict[str, Any]:
        """Plain JSON: what people want to know of a table before they search it."""
        full = self.mean_values[:, -1]
        return {
            "num_architectures": len(self.genes),
            "space_cardinality": str(self.space.cardinality),
            "flat_space": self.flat,
            "choices": [gene.name for gene in self.space.genes],
            "metrics": [
                {**asdict(metric), "num_missing": int(np.isnan(full[:, k]).sum()), **_range(full[:, k])}
                for k, metric in enumerate(self.metrics)
            ],
            "front_size": self.front_size,
            "costs": sorted(self.costs),
            "fidelity": self.fidelity,
            "fidelities": self.fidelities.tolist() if self.fidelity else [],
            "replicates": list(self.replicates),
            "attribution": self.attribution,
        }

    def save(self, artifacts: Path) -> Path:
        """Write the file into the artifact store, unless it is there; a reader never sees half of it."""
        path = table_path(artifacts, self.id)
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{self.id}.{secrets.token_hex(4)}")
        arrays = {f"cost_{name}": values for name, values in self.costs.items()}
        header = np.frombuffer(json.dumps(self._header(), sort_keys=True).encode(), dtype=np.uint8)
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                header=header,
                genes=self.genes,
                fidelities=self.fidelities,
                values=self.values,
                **arrays,  # type: ignore[arg-type]
            )
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        return path

    def _header(self) -> dict[str, Any]:
        return {
            "version": FORMAT_VERSION,
            "space": self.space.document.to_json(),
            "flat": self.flat,
            "metrics": [asdict(metric) for metric in self.metrics],
            "fidelity": self.fidelity,
            "replicates": list(self.replicates),
            "attribution": self.attribution,
        }


def table_path(artifacts: Path, table_id: str) -> Path:
    """Where the file of a table lies."""
    return artifacts / TABLES_FOLDER / f"{table_id}.npz"


def load_table(artifacts: Path, table_id: str) -> Table:
    """Read a table and check it against its id. Raises FileNotFoundError, and ValueError for a damaged file."""
    with np.load(table_path(artifacts, table_id), allow_pickle=False) as data:
        header = json.loads(data["header"].tobytes())
        costs = {name.removeprefix("cost_"): data[name] for name in data.files if name.startswith("cost_")}
        table = Table(
            space=SearchSpace.from_document(header["space"]),
            flat=header["flat"],
            metrics=tuple(TableMetric(**metric) for metric in header["metrics"]),
            genes=data["genes"],
            fidelities=data["fidelities"],
            values=data["values"],
            costs=costs,
            fidelity=header["fidelity"],
            replicates=tuple(header["replicates"]),
            attribution=header["attribution"],
        )
    if table.id != table_id:
        raise ValueError(f"the file of table {table_id} is damaged: its content is that of {table.id}")
    return table


def _range(values: NDArray[np.float64]) -> dict[str, float | None]:
    known = values[np.isfinite(values)]
    return {
        "minimum": float(known.min()) if len(known) else None,
        "maximum": float(known.max()) if len(known) else None,
    }
