"""The options that describe a search, shared by the commands that create one and those that only plan it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from nas_service.errors import InvalidInput, allowed
from search_spaces.library_index import LIBRARY, load_file


def request_from(
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="YAML or JSON request instead of the options")
    ] = None,
    name: Annotated[str | None, typer.Option(help="left out: space and data set")] = None,
    space: Annotated[
        str, typer.Option(help="a built-in family, a document file, or the id of a stored space")
    ] = "digits-mobile",
    dataset: Annotated[str, typer.Option(help="name or id of a registered data set")] = "digits",
    table: Annotated[
        str | None, typer.Option(help="look results up in this table instead of training (then no space and data set)")
    ] = None,
    objectives: Annotated[
        list[str] | None, typer.Option("--objective", help="accuracy_top1, macs<1e6, latency_ms@local-cpu")
    ] = None,
    strategy: Annotated[str, typer.Option(help="one of those that `GET /v1/methods` lists")] = "auto",
    trials: Annotated[int, typer.Option(help="how many architectures are evaluated")] = 200,
    finalists: Annotated[int, typer.Option(help="how many are scored again and measured")] = 8,
    parallelism: Annotated[int, typer.Option(help="how many trials are open at once")] = 8,
    seed: Annotated[int, typer.Option(help="equal seeds give equal sequences of architectures")] = 0,
) -> dict[str, Any]:
    """The body of a search: of the file, or from the options. Raises InvalidInput."""
    if file is not None:
        return request_of_file(file)
    if objectives is None and table is not None:
        raise InvalidInput.at("--objective", "name metrics of the table", suggestion=f"nas table show {table}")
    body = {
        "name": name or (f"over {table}" if table is not None else f"{space} on {dataset}"),
        "objectives": [objective(text) for text in objectives or ["accuracy_top1", "macs"]],
        "strategy": {"name": strategy},
        "budget": {"trials": trials},
        "parallelism": parallelism,
        "seed": seed,
    }
    if table is not None:
        return body | {"evaluator": {"kind": "table", "table": table}}
    return body | {"space": space_reference(space), "dataset": dataset, "finalists": {"count": finalists}}


def request_of_file(file: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. Raises InvalidInput with the place of what is no YAML."""
    try:
        body = yaml.safe_load(file.read_bytes())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InvalidInput.at(str(file), f"no YAML or JSON: {place}{getattr(error, 'problem', error)}") from None
    if not isinstance(body, dict):
        raise InvalidInput.at(str(file), "must hold one mapping, as the body of `POST /v1/searches`")
    return body


def described(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``request_from``; it is called with their ``body`` and its own options."""
    options = inspect.signature(request_from, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @wraps(command)
    def run(**given: Any) -> None:
        body = request_from(**{name: given.pop(name) for name in options})
        command(body=body, **given)

    together = [*options.values(), *(parameter for name, parameter in own.items() if name != "body")]
    together = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in together]
    run.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in together}
    return run


def space_reference(text: str) -> dict[str, Any]:
    """A stored space by id, a built-in family by name, or a document file."""
    if text.startswith("spc_"):
        return {"id": text}
    if text in LIBRARY:
        return {"library": text}
    if not Path(text).is_file():
        message = f"{text!r} is neither a built-in family nor a file"
        raise InvalidInput.at("--space", message, suggestion=allowed(text, LIBRARY))
    return {"document": load_file(Path(text)).document.to_json()}


def objective(text: str) -> dict[str, Any]:
    """``accuracy_top1``, ``macs<1e6``, ``accuracy>70`` or ``latency_ms@local-cpu<2``."""
    sign = ">" if ">" in text else "<"
    name, _, bound = text.partition(sign)
    name, _, device = name.partition("@")
    result: dict[str, Any] = {"metric": name}
    if device:
        result["device"] = device
    if bound:
        try:
            result["constraint"] = {"minimum" if sign == ">" else "maximum": float(bound)}
        except ValueError:
            raise InvalidInput.at("--objective", f"{bound!r} is no number", suggestion="e.g. macs<1e6") from None
    return result
