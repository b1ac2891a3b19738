"""A front as people and programs read it: a table, cheapest member first, lines of CSV, or everything about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nas_service.cli.output import ListFormat, out, print_csv, print_document, print_rows, show

# Scores that a front shows where they are among its axes; accuracy has columns of its own.
SCORES = ("f1_macro", "perplexity", "loss")


def print_front(found: Mapping[str, Any], output: ListFormat) -> None:
    """A front as a table, cheapest member first, as a line for each member, or everything about it."""
    if output is ListFormat.csv:
        rows = [member | axes_of(found, member) | _on_test(member) | {"adds": gain} for member, gain in _members(found)]
        print_csv(rows, ["number", "id", *found["axes"]])
        return
    if output is not ListFormat.table:
        print_document(found, output)
        return
    if found["stage"] == "search":
        print_search_front(found)
        return
    rows = [axes_of(found, member) | front_row(member) for member in found["members"]]
    own = [column for axis in found["axes"] for column in _columns_of(axis)]
    usual = ["accuracy select", "accuracy test", "macs", "params", "latency ms"]
    columns = [name for name in dict.fromkeys(["trial", *own, *usual]) if any(row[name] is not None for row in rows)]
    kept = sum(name in ("trial", *own) for name in columns)
    print_rows(sorted(rows, key=lambda row: row["macs"] or 0), columns, output, num_kept=kept)
    for member in sorted(found["members"], key=lambda member: member.get("macs") or 0):
        out.print(f"trial {member['number']} is {member['id']}", soft_wrap=True)
    out.print(f"hypervolume {show(found.get('hypervolume'))}")


def _columns_of(axis: str) -> list[str]:
    """Where a final front shows an axis: scores on both splits."""
    if axis in ("accuracy_top1", *SCORES):
        name = "accuracy" if axis == "accuracy_top1" else axis
        return [f"{name} select", f"{name} test"]
    return ["latency ms"] if axis == "latency_ms" else [axis]


def _members(found: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], float]]:
    """Members of a front with the volume that each adds."""
    return zip(found["members"], found["contributions"], strict=True)


def _on_test(member: Mapping[str, Any]) -> dict[str, Any]:
    return {f"test_{name}": value for name, value in (member["metrics"].get("test") or {}).items()}


def axes_of(found: Mapping[str, Any], member: Mapping[str, Any]) -> dict[str, Any]:
    """A member's values of the axes of its front, from its fields or its other metrics."""
    return {axis: member["metrics"].get(axis) if member.get(axis) is None else member[axis] for axis in found["axes"]}


def print_search_front(found: Mapping[str, Any]) -> None:
    """A front of the search stage by its own axes: metrics that were looked up, or scores on the search split."""
    rows = [
        {"trial": member["number"], "id": member["id"], "adds": gain} | axes_of(found, member)
        for member, gain in _members(found)
    ]
    columns = ["trial", *found["axes"], "id", "adds"]
    print_rows(rows, columns, ListFormat.table, num_kept=1 + len(found["axes"]))
    out.print(f"hypervolume {show(found.get('hypervolume'))} after {found['num_evaluations']} evaluations")
    if found.get("normalised_hypervolume") is not None:
        out.print(f"{100 * found['normalised_hypervolume']:.2f} % of the true front's, regret {show(found['regret'])}")


def front_row(member: Mapping[str, Any]) -> dict[str, Any]:
    """What people compare of one finalist: accuracies with 95 % intervals, costs, measured latency [p10-p90]."""
    test = (member.get("metrics") or {}).get("test") or {}
    latency = None if member.get("latency_ms") is None else f"{member['latency_ms']:.3f}"
    if latency is not None and member.get("latency_p10_ms") is not None:
        latency += f" [{member['latency_p10_ms']:.3f}-{member['latency_p90_ms']:.3f}]"
    scores = {f"{name} select": (member.get("metrics") or {}).get(name, member.get(name)) for name in SCORES}
    return {
        "trial": member["number"],
        "id": member["id"],
        **scores,
        **{f"{name} test": test.get(name) for name in SCORES},
        "accuracy select": with_interval(member.get("accuracy_top1"), (member.get("metrics") or {}).get("num_samples")),
        "accuracy test": with_interval(test.get("accuracy_top1"), test.get("num_samples")),
        "macs": member.get("macs"),
        "params": member.get("params"),
        "latency ms": latency,
    }


def with_interval(accuracy: float | None, n: int | None) -> str | None:
    """A proportion with its 95 % Wilson interval."""
    if accuracy is None:
        return None
    if not n:
        return f"{accuracy:.4f}"
    z = 1.96
    middle = (accuracy + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((accuracy * (1 - accuracy) / n + z * z / (4 * n * n)) ** 0.5) / (1 + z * z / n)
    return f"{accuracy:.4f} [{middle - half:.3f}-{middle + half:.3f}]"
