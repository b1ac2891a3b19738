"""Tables that come with the service."""

from __future__ import annotations

from functools import cache

import numpy as np

from nas_service.tables.definition import TableMetric
from nas_service.tables.nasbench201 import load_nasbench201
from nas_service.tables.table import Table
from search_spaces.library_index import load_library

NASBENCH201 = "nasbench201"
_ATTRIBUTION = (
    "NAS-Bench-201 (Dong and Yang, ICLR 2020) and NATS-Bench (Dong et al., 2021), MIT; latency and energy: "
    "HW-NAS-Bench v1.0 (Li et al., ICLR 2021), MIT. Eyeriss and FPGA values are modelled, not measured. "
    "Details: nas_service/data/NASBENCH201.md"
)


@cache
def nasbench201() -> Table:
    """All 15,625 cells of NAS-Bench-201 with the columns of the packaged data as metrics; the official ``index`` is
    left out, since it is no result."""
    data, space = load_nasbench201(), load_library("nasbench201-cell")
    names = [name for name in data.columns if name != "index"]
    values = np.stack([data.columns[name] for name in names], axis=-1)
    return Table(
        space=space,
        flat=False,
        metrics=tuple(_metric(name) for name in names),
        genes=data.genes,
        fidelities=np.ones(1),
        values=values[:, None, None, :],
        costs={name: np.asarray(found) for name, found in space.costs(data.genes).items()},
        attribution=_ATTRIBUTION,
    )


def _metric(name: str) -> TableMetric:
    if name.endswith("_latency"):
        return TableMetric(name, "minimize", "ms")
    if name.endswith("_energy"):
        return TableMetric(name, "minimize", "mJ")
    return TableMetric(name, "maximize", "percent")
