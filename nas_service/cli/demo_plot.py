"""The demo's picture: the final front with intervals, and the controls' fronts beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def save_plot(
    path: Path, members: Sequence[Mapping[str, Any]], controls: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Path:
    """Accuracy against MACs as a PNG; returns the path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for (name, found), marker in zip(controls.items(), ("x", "^"), strict=False):
        ordered = sorted(found, key=lambda member: member["macs"])
        axes.plot(
            [member["macs"] for member in ordered],
            [member["accuracy_top1"] for member in ordered],
            marker=marker,
            linestyle=":",
            label=f"{name} (search split)",
        )
    ordered = sorted(members, key=lambda member: member["macs"])
    macs = [member["macs"] for member in ordered]
    axes.plot(macs, [member["accuracy_top1"] for member in ordered], marker="o", label="final front (select split)")
    tested: list[float] = [(member["metrics"].get("test") or {})["accuracy_top1"] for member in ordered]
    axes.plot(macs, tested, marker="s", linestyle="none", fillstyle="none", label="final front (test split)")
    axes.set_xscale("log")
    axes.set_xlabel("multiply-accumulates of one image")
    axes.set_ylabel("top-1 accuracy")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=140)
    pyplot.close(figure)
    return path
