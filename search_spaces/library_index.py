"""The built-in families: documents in `search_spaces/library`, loaded by name."""

from __future__ import annotations

import functools
from dataclasses import replace
from importlib import resources
from pathlib import Path

from search_spaces.errors import Problem, SpaceError, did_you_mean
from search_spaces.language.reader import line_of, lines_of
from search_spaces.space import SearchSpace

_FOLDER = resources.files("search_spaces") / "library"
LIBRARY: tuple[str, ...] = tuple(
    sorted(entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))
)


def library_text(name: str) -> str:
    """The YAML text of a built-in family. Raises SpaceError for an unknown name."""
    if name not in LIBRARY:
        raise SpaceError("", "library", f"no built-in family '{name}'", did_you_mean(name, LIBRARY))
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


@functools.lru_cache(maxsize=64)
def load_library(name: str) -> SearchSpace:
    """The compiled space of a built-in family; repeated calls share it."""
    return SearchSpace.from_document(library_text(name))


def load_file(path: Path) -> SearchSpace:
    """The compiled space of a document file (YAML or JSON). Problems of a SpaceError carry their line."""
    text = path.read_text(encoding="utf-8")
    try:
        return SearchSpace.from_document(text)
    except SpaceError as error:
        raise SpaceError([_with_line(problem, text) for problem in error.problems]) from None


def _with_line(problem: Problem, text: str) -> Problem:
    """The problem with the line of the innermost place on its path that the text has."""
    if problem.rule in ("syntax", "size", "depth", "alias", "tag", "duplicate"):
        return problem
    return replace(problem, line=line_of(problem.pointer, lines_of(text)))
