"""Pareto tools at size: non-dominated sets of uniform points and of points that are all on the front; hypervolumes.

python tests/benchmarks/bench_pareto.py --out tests/benchmarks/results/pareto
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from nas_service.domain.pareto import hypervolume, non_dominated


def timed(call, repeats=3):
    """The result and the processor seconds of the fastest of some calls."""
    seconds, result = [], None
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        seconds.append(time.process_time() - start)
    return result, min(seconds)


def sphere(rng, n, m):
    """Points that do not dominate each other: on the unit sphere, seen from the far corner."""
    points = np.abs(rng.standard_normal((n, m)))
    return 1.0 - points / np.linalg.norm(points, axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", help="prefix of the .json and .md files to write")
    options = parser.parse_args()
    rng, rows = np.random.default_rng(0), []
    for name, n, m in [
        ("uniform", 1_000_000, 2),
        ("uniform", 1_000_000, 3),
        ("uniform", 1_000_000, 4),
        ("all on the front", 1_000_000, 2),
        ("all on the front", 100_000, 3),
        ("all on the front", 1_000_000, 3),
        ("all on the front", 10_000, 4),
    ]:
        points = rng.random((n, m)) if name == "uniform" else sphere(rng, n, m)
        mask, seconds = timed(lambda points=points: non_dominated(points), 1 if name != "uniform" else 3)
        rows.append({"what": f"non-dominated set, {name}", "points": n, "objectives": m, "s": round(seconds, 3)})
        rows[-1]["front"] = int(mask.sum())
        print(rows[-1], flush=True)
    for n, m in [(10_000, 2), (10_000, 3), (200, 4), (1_000, 4)]:
        points = sphere(rng, n, m)
        value, seconds = timed(lambda points=points, m=m: hypervolume(points, np.full(m, 1.1)), 1)
        rows.append({"what": "exact hypervolume, all on the front", "points": n, "objectives": m})
        rows[-1] |= {"s": round(seconds, 3), "hypervolume": round(value, 6)}
        print(rows[-1], flush=True)
    if options.out:
        lines = [
            "Processor seconds on one core.",
            "",
            "| what | points | objectives | front | s |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {r['what']} | {r['points']:,} | {r['objectives']} | {r.get('front', r['points']):,} | {r['s']:.3f} |"
            for r in rows
        ]
        Path(options.out + ".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        Path(options.out + ".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
