"""Curves of a benchmark with bands over seeds, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def save_curves(path: Path, rows: Sequence[dict[str, Any]], evaluations: Sequence[int], title: str) -> Path:
    """Mean with a band from the lower to the upper quartile over seeds, one line per strategy; returns the path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for row in rows:
        values = np.array(row["values"])
        (line,) = axes.plot(evaluations, values.mean(axis=0), marker="o", label=row["strategy"])
        low, high = np.quantile(values, [0.25, 0.75], axis=0)
        axes.fill_between(evaluations, low, high, alpha=0.15, color=line.get_color())
    axes.set_xscale("log")
    axes.set_xticks(list(evaluations), [str(n) for n in evaluations])
    axes.set_xlabel("evaluations")
    axes.set_ylabel("share of the true front's hypervolume" if "log10_missing" in rows[0] else title)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=140)
    pyplot.close(figure)
    return path
