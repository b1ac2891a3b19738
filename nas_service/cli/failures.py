"""From an exception to a message on standard error and an exit code; a traceback is for our faults only.

Exit codes: 0 ok, 1 failure, 2 wrong input, 3 schema mismatch, 4 not allowed, 5 not found, 6 conflict, 7 unavailable,
130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from nas_service.client import ApiError, Unreachable
from nas_service.datasets.errors import DatasetError
from nas_service.errors import NasError
from search_spaces.errors import Problem, SpaceError

FAILURE, WRONG_INPUT, WRONG_SCHEMA, NOT_ALLOWED, NOT_FOUND, CONFLICT, UNAVAILABLE, INTERRUPTED = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    130,
)
CODE_OF_STATUS = {
    400: 2,
    413: 2,
    415: 2,
    422: 2,
    401: 4,
    403: 4,
    404: 5,
    409: 6,
    412: 6,
    428: 6,
    429: 7,
    503: 7,
}
# What shows the things of which one was not found.
LISTED = (
    ("/v1/tables/", "nas table list"),
    ("/v1/trials/", "nas front SEARCH_ID"),
    ("/v1/exports", "nas front SEARCH_ID"),
)


class SchemaMismatch(Exception):
    """The database is not at the revision this release needs."""


def guarded(run: Callable[[], object]) -> int:
    """Run a command; the exit code, after telling on standard error what went wrong."""
    try:
        run()
    except SpaceError as error:
        return _tell(
            WRONG_INPUT,
            "the search space is not valid",
            [_line(_place(p), p.message, p.suggestion) for p in error.problems],
        )
    except DatasetError as error:
        return _tell(WRONG_INPUT, str(error))
    except NasError as error:
        lines = [_line(problem.pointer, problem.message, problem.suggestion) for problem in error.problems]
        return _tell(CODE_OF_STATUS.get(error.status, FAILURE), error.detail, lines)
    except ApiError as error:
        lines = [_line(p.get("pointer", ""), p.get("message", ""), p.get("suggestion")) for p in error.fields]
        lines += [
            f"{command} lists them"
            for start, command in LISTED
            if error.status == 404 and str(error.problem.get("instance")).startswith(start)
        ]
        return _tell(CODE_OF_STATUS.get(error.status, FAILURE), str(error), lines)
    except Unreachable as error:
        return _tell(UNAVAILABLE, str(error), ["is the service running? `nas up` starts it"])
    except SchemaMismatch as error:
        return _tell(WRONG_SCHEMA, str(error))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        return _tell(WRONG_INPUT, f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        return _tell(INTERRUPTED, "interrupted")
    return 0


def _place(problem: Problem) -> str:
    return ", ".join(filter(None, [f"line {problem.line}" if problem.line else "", problem.pointer]))


def _line(pointer: str, message: str, suggestion: str | None) -> str:
    # A place outside of the body is named by the API as "#query/name".
    place = f"{pointer.rpartition('/')[2] if pointer.startswith('#') else pointer}: " if pointer else ""
    return f"{place}{message}" + (f" ({suggestion})" if suggestion else "")


def _tell(code: int, message: str, lines: list[str] | None = None) -> int:
    lines = lines or []
    if len(lines) == 1 and (lines[0].startswith(message) or message.startswith("#")):
        message, lines = lines[0], []  # the only finding says all that the message does
    elif len(lines) > 1 and (lines[0].startswith(message) or message.startswith("#")):
        message = f"{len(lines)} things are wrong"  # the message is only the first of the findings
    sys.stderr.write(f"nas: {message}\n")
    for line in lines:
        sys.stderr.write(f"  {line}\n")
    return code
