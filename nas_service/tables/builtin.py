"""Tables that come with the service."""

from __future__ import annotations

from functools import cache

import numpy as np

from nas_service.tables.definition import TableMetric
from nas_service.tables.nasbench201 import NasBench201, load_nasbench201
from nas_service.tables.table import Table
from search_spaces.library_index import load_library

NASBENCH201 = "nasbench201"
NASBENCH201_EPOCHS = "nasbench201-epochs"
_EPOCHS = (12, 200)
_ATTRIBUTION = (
    "NAS-Bench-201 (Dong and Yang, ICLR 2020) and NATS-Bench (Dong et al., 2021), MIT; latency and energy: "
    "HW-NAS-Bench v1.0 (Li et al., ICLR 2021), MIT. Eyeriss and FPGA values are modelled, not measured. "
    "Details: nas_service/data/NASBENCH201.md"
)


@cache
def nasbench201() -> Table:
    """All 15,625 cells of NAS-Bench-201 with the columns of the packaged data as metrics; the official ``index`` is
    left out, since it is no result."""
    data = load_nasbench201()
    names = [name for name in data.columns if name != "index"]
    return _table(data, {name: (name,) for name in names})


@cache
def nasbench201_epochs() -> Table:
    """The same cells with 12 and 200 epochs as fidelities: the accuracies that were measured after both, without their
    suffix, and latencies and energies, which are the same at both."""
    data = load_nasbench201()
    columns = {}
    for name in data.columns:
        if name.endswith(f"_e{_EPOCHS[-1]}"):
            metric = name.removesuffix(f"_e{_EPOCHS[-1]}")
            columns[metric] = tuple(f"{metric}_e{epochs}" for epochs in _EPOCHS)
        elif name.endswith(("_latency", "_energy")):
            columns[name] = (name,) * len(_EPOCHS)
    return _table(data, columns, epochs=_EPOCHS)


def _table(data: NasBench201, columns: dict[str, tuple[str, ...]], epochs: tuple[int, ...] = ()) -> Table:
    """``columns`` by metric, one for each of ``epochs``, or one."""
    space = load_library("nasbench201-cell")
    values = np.stack(
        [np.stack([data.columns[name] for name in names], axis=-1) for names in columns.values()], axis=-1
    )
    return Table(
        space=space,
        flat=False,
        metrics=tuple(_metric(name) for name in columns),
        genes=data.genes,
        fidelities=np.array(epochs, dtype=np.float64) if epochs else np.ones(1),
        values=values[:, :, None, :],
        costs={name: np.asarray(found) for name, found in space.costs(data.genes).items()},
        fidelity="epochs" if epochs else None,
        attribution=_ATTRIBUTION,
    )


def _metric(name: str) -> TableMetric:
    if name.endswith("_latency"):
        return TableMetric(name, "minimize", "ms")
    if name.endswith("_energy"):
        return TableMetric(name, "minimize", "mJ")
    return TableMetric(name, "maximize", "percent")
