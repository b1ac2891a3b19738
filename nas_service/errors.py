"""The error tree of the service: each class carries its code, its HTTP status and the facts of the case.

NasError
├── InvalidInput      422  one or more problems, each with a JSON pointer
├── NotFound          404
├── Conflict          409
├── Unauthenticated   401
├── Forbidden         403
├── PreconditionFailed 412
├── TooLarge          413
└── Unavailable       503
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

MAX_NAMES = 50
_MAX_LENGTH = 400  # of the names together; what is longer is cut somewhere on its way to a user


def allowed(given: str, names: Iterable[str]) -> str:
    """A suggestion for an unknown name: the one that was probably meant, and all there are."""
    known = list(names)
    begun = [name for name in known if len(given) > 1 and name.startswith(given.lower())]
    near = begun or difflib.get_close_matches(given, known, 1, cutoff=0.5)
    lengths = accumulate(len(name) + 2 for name in known)
    shown = [name for name, length in zip(known[:MAX_NAMES], lengths, strict=False) if length <= _MAX_LENGTH]
    more = ", ..." if len(known) > len(shown) else ""
    return (f"did you mean '{near[0]}'? " if near else "") + f"allowed: {', '.join(shown) or 'none'}{more}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input: where (JSON pointer), which rule, and what is allowed."""

    pointer: str
    code: str
    message: str
    suggestion: str | None = None

    def to_json(self) -> dict[str, str]:
        fields = {"pointer": self.pointer, "code": self.code, "message": self.message}
        return fields if self.suggestion is None else {**fields, "suggestion": self.suggestion}


class NasError(Exception):
    """Something went wrong in the service."""

    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(self, detail: str, *, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = problems


class InvalidInput(NasError):
    """The request is well-formed JSON but breaks a rule."""

    status = 422
    code = "invalid_input"
    title = "Invalid input"

    @classmethod
    def at(cls, pointer: str, message: str, *, code: str = "invalid_value", suggestion: str | None = None):
        """An error about one field, e.g. ``InvalidInput.at("/budget/trials", "must be at least 1")``."""
        where = pointer or "the request"
        return cls(f"{where}: {message}", problems=(Problem(pointer, code, message, suggestion),))


class NotFound(NasError):
    """There is no such thing."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(NasError):
    """The thing is in a state in which this cannot be done."""

    status = 409
    code = "conflict"
    title = "Conflict"


class Unauthenticated(NasError):
    """No valid key or session came with the request."""

    status = 401
    code = "unauthenticated"
    title = "Authentication required"


class Forbidden(NasError):
    """The key is valid but lacks the scope."""

    status = 403
    code = "forbidden"
    title = "Not allowed"


class PreconditionFailed(NasError):
    """The resource changed since it was read."""

    status = 412
    code = "precondition_failed"
    title = "Precondition failed"


class TooLarge(NasError):
    """The body is larger than the limit."""

    status = 413
    code = "too_large"
    title = "Too large"


class Unavailable(NasError):
    """The service cannot answer at the moment; trying again later helps."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"
