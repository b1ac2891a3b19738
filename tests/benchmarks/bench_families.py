"""Whole searches of the library's families through a running service: supernet, trials, finalists, export, prediction.

Run as a script against `nas up`, with `NAS_URL` and `NAS_API_KEY` set, after `--data` has made the data sets' files and
`nas data add` has read them (the commands are printed). A family that has been searched is not searched again, so what
was interrupted goes on. Networks made for 32 x 32 images see enlarged digits and train for a few steps only: they show
that their path works, not how good they are.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_wine

from nas_service.client import Client
from tests.support.texts import write_questions, write_story

RESULTS = Path(__file__).with_name("results") / "families.md"
TRIALS, FINALISTS, SEED = 40, 3, 1
HEAD = f"""# A whole search of each family

Each row is one search over REST with default settings ({TRIALS} trials, {FINALISTS} finalists, seed {SEED}; `steps`: of
the supernet, "default" where the recipe decides), then the export of the front's first network, whose `predict.py` was
run in a process of its own. Best: highest (perplexity: lowest) of the front, on the test split in brackets. Guessing:
the most frequent class, or a uniform choice among the tokens. One seed each; seconds under changing load.
Twenty steps show that the path of a family works, not how good it is. With the recipe that suits convolutions
digits-vit stayed at guessing (0.10) and digits-vit-stages at 0.59; images read as tokens get AdamW since.
Commands: the docstring of `tests/benchmarks/bench_families.py`.

| family | data | steps | s | front | metric | best (test) | guessing | torch - ONNX, largest |
|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Data:
    """A data set, what `nas data add` needs for it, what is maximised on it, and what guessing reaches."""

    metric: str
    guessing: float
    options: str = ""


DATA = {
    "digits": Data("accuracy_top1", 0.1),
    "digits32": Data("accuracy_top1", 0.1, "digits32.npz"),
    "digit_rows": Data("accuracy_top1", 0.1, "digit_rows.csv --label digit"),
    "wine": Data("accuracy_top1", 71 / 178, "wine.csv --label cultivar"),
    "questions": Data("accuracy_top1", 0.34, "questions.jsonl --text text --label kind --length 24"),
    "story": Data("perplexity", 40.0, "story.txt --length 32 --tokenizer character"),
}
# Family, data set, steps of its supernet (None: what the recipe says).
SEARCHES: tuple[tuple[str, str, int | None], ...] = (
    ("digits-mobile", "digits", None),
    ("digits-vit", "digits", None),
    ("digits-cell", "digits", None),
    ("digits-fabric", "digits", None),
    ("digits-hybrid", "digits", None),
    ("digits-vit-stages", "digits", None),
    ("digits-mlp", "digit_rows", None),
    ("mlp-elastic", "wine", None),
    ("table-transformer", "wine", None),
    ("text-tiny", "questions", 300),
    ("flexibert", "questions", 40),
    ("gpt-tiny", "story", 200),
    ("matformer-gpt", "story", 60),
    ("bert-tiny", "story", 200),
    ("nasbench201-cell", "digits32", 20),
    ("resnet-cifar", "digits32", 80),
    ("plain-cnn", "digits32", 20),
    ("nats-size", "digits32", 20),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help="only these")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="write the data files there and do nothing else")
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULTS.name}")
    arguments = parser.parse_args()
    if arguments.data:
        write_data(arguments.data)
        return
    rows = []
    with Client(os.environ["NAS_URL"], os.environ["NAS_API_KEY"]) as nas:
        chosen = [item for item in SEARCHES if not arguments.families or item[0] in arguments.families]
        for family, dataset, steps in chosen:
            rows.append(row_of(nas, family, dataset, steps))
            print(rows[-1], flush=True)
    if arguments.write:
        RESULTS.write_text(HEAD + "\n".join(rows) + "\n")


def write_data(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images = [
        np.asarray(Image.fromarray((image * 15.9).astype(np.uint8)).resize((32, 32), Image.Resampling.BICUBIC))
        for image in digits.images
    ]
    np.savez(folder / "digits32.npz", x=np.repeat(np.stack(images)[..., None], 3, axis=3), y=digits.target)
    write_rows(folder / "digit_rows.csv", "digit", digits.data, digits.target)
    wine = load_wine()
    write_rows(folder / "wine.csv", "cultivar", wine.data, wine.target)
    write_questions(folder / "questions.jsonl")
    write_story(folder / "story.txt")
    for name, data in DATA.items():
        if data.options:
            print(f"nas data add {name} {folder}/{data.options} --root {folder}")


def write_rows(path: Path, label: str, features: np.ndarray, classes: np.ndarray) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"f{i}" for i in range(features.shape[1])), label])
        writer.writerows([*row, f"class{y}"] for row, y in zip(features.tolist(), classes, strict=True))


def row_of(nas: Client, family: str, dataset: str, steps: int | None) -> str:
    """A row of the table; a failure stands in it with its reason."""
    data = DATA[dataset]
    name = f"family {family} on {dataset}"
    search: dict[str, Any] = dict(
        next(iter(nas.searches(name=name)), None) or create(nas, name, family, dataset, steps)
    )
    search = dict(nas.wait(search["id"]))
    if search["state"] != "succeeded":
        return f"| {family} | {dataset} | {steps or 'default'} | | | | {search['state']}: {search.get('error')} | | |"
    members = nas.front(search["id"])["members"]
    sign = -1 if data.metric == "perplexity" else 1
    best = max(members, key=lambda member: sign * member["metrics"].get(data.metric, member.get(data.metric)))
    value = best["metrics"].get(data.metric, best.get(data.metric))
    test = best["metrics"]["test"][data.metric]
    parity = exported_parity(nas, members[0]["id"], family, dataset)
    times = [datetime.fromisoformat(search[name]) for name in ("started_at", "finished_at")]
    seconds = f"{(times[1] - times[0]).total_seconds():.0f}"
    return (
        f"| {family} | {dataset} | {steps or 'default'} | {seconds} | {len(members)} | {data.metric} "
        f"| {value:.3f} ({test:.3f}) | {data.guessing:.2f} | {parity:.1e} |"
    )


def create(nas: Client, name: str, family: str, dataset: str, steps: int | None) -> dict[str, Any]:
    params = {} if steps is None else {"num_steps": steps, "batch_size": 32, "curve_every_steps": steps}
    request = {
        "name": name,
        "space": {"library": family},
        "dataset": dataset,
        "objectives": [{"metric": DATA[dataset].metric}, {"metric": "macs"}],
        "evaluator": {"recipe": {"name": "sandwich", "params": params}},
        "budget": {"trials": TRIALS},
        "finalists": {"count": FINALISTS},
        "seed": SEED,
    }
    return dict(nas.create_search(request))


def exported_parity(nas: Client, trial_id: str, family: str, dataset: str) -> float:
    """Largest difference between torch and ONNX Runtime; the download has predicted by itself before."""
    with tempfile.TemporaryDirectory() as folder:
        export = nas.wait_for_export(nas.create_export(trial_id)["id"])
        nas.download(export, Path(folder))
        predict(Path(folder), family, dataset)
        return json.loads((Path(folder) / "manifest.json").read_text())["parity"]["max_abs_difference_onnx"]


def predict(folder: Path, family: str, dataset: str) -> None:
    """Run the exported predict.py on something of the data set's kind; raises RuntimeError with what it said."""
    if dataset in ("questions", "story"):
        argument = "Who will find the [MASK]oats?" if family.startswith("bert") else "Who will find the boats?"
    elif dataset.startswith("digits"):
        argument = str(folder / "image.png")
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(argument)
    else:
        argument = str(folder / "rows.csv")
        features = (load_wine() if dataset == "wine" else load_digits()).data[:2]
        with Path(argument).open("w", newline="") as file:
            csv.writer(file).writerows(features.tolist())
    done = subprocess.run([sys.executable, "-B", str(folder / "predict.py"), argument], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


if __name__ == "__main__":
    main()
