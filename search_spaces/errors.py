"""The error of the search-space language: where a document is wrong, which rule it breaks, what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a document. `pointer` is a JSON pointer (RFC 6901) into the document as written."""

    pointer: str
    rule: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        text = f"{self.pointer or '/'}: {self.message} [{self.rule}]"
        return f"{text} - {self.suggestion}" if self.suggestion else text


class SpaceError(ValueError):
    """A document, architecture or gene matrix that the language refuses. `.problems` lists every finding."""

    def __init__(
        self, pointer: str | Sequence[Problem], rule: str = "", message: str = "", suggestion: str = ""
    ) -> None:
        if isinstance(pointer, str):
            self.problems: tuple[Problem, ...] = (Problem(pointer, rule, message, suggestion),)
        else:
            self.problems = tuple(pointer)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def pointer(self) -> str:
        return self.problems[0].pointer

    @property
    def rule(self) -> str:
        return self.problems[0].rule

    @property
    def message(self) -> str:
        return self.problems[0].message

    @property
    def suggestion(self) -> str:
        return self.problems[0].suggestion


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion naming the closest known word, else the list of known words (shortened)."""
    names = sorted({str(name) for name in known})
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    if not names:
        return ""
    return "known: " + ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def pointer_of(*parts: str | int) -> str:
    """JSON pointer of a path of keys and indices."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
