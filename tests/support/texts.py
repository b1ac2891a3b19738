"""Small texts for tests, made from a grammar of our own: questions of three kinds, and a running story."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

_NAMES = ("anna", "boris", "carla", "david", "emma", "felix")
_THINGS = ("apples", "books", "horses", "letters", "stones", "boats")
_PLACES = ("garden", "harbour", "forest", "market", "village", "castle")
_VERBS = ("count", "buy", "hide", "find", "carry", "paint")


def question(rng: np.random.Generator) -> tuple[str, str]:
    """(kind, question): what is asked for follows from the first word alone."""
    name, thing, place, verb = (str(rng.choice(words)) for words in (_NAMES, _THINGS, _PLACES, _VERBS))
    number = int(rng.integers(10, 99))
    return [
        ("number", f"How many {thing} did {name} {verb} in the {place} on day {number}?"),
        ("person", f"Who will {verb} the {thing} near the {place} on day {number}?"),
        ("place", f"Where did {name} {verb} {number} {thing}?"),
    ][int(rng.integers(3))]


def write_questions(path: Path, num_rows: int = 900) -> Path:
    """JSON lines with `kind` and `text`."""
    rng = np.random.default_rng(0)
    rows = [dict(zip(("kind", "text"), question(rng), strict=True)) for _ in range(num_rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_story(path: Path, num_sentences: int = 700) -> Path:
    """A running text of simple sentences."""
    rng = np.random.default_rng(1)
    sentences = []
    for _ in range(num_sentences):
        name, thing, place, verb = (str(rng.choice(words)) for words in (_NAMES, _THINGS, _PLACES, _VERBS))
        sentences.append(f"{name.title()} went to the {place} to {verb} the {thing}.")
    path.write_text(" ".join(sentences) + "\n", encoding="utf-8")
    return path
