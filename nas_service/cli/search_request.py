"""The options that describe a search, shared by the commands that create one and those that only plan it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Set
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli.request_file import request_of_file, space_reference, with_lines
from nas_service.client import ApiError
from nas_service.errors import InvalidInput
from search_spaces.errors import SpaceError
from search_spaces.language.reader import read_text


def request_from(
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="a request instead of the other options; `nas search create --help` has one"),
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
    recipe: Annotated[
        str | None, typer.Option(help="how the supernet is trained, left out: sandwich; `GET /v1/methods` lists them")
    ] = None,
    recipe_params: Annotated[
        list[str] | None, typer.Option("--recipe-param", help="learning_rate=0.002, num_epochs=20; may be repeated")
    ] = None,
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
        if recipe or recipe_params:
            raise InvalidInput.at("--recipe" if recipe else "--recipe-param", "a search over a table trains nothing")
        return body | {"evaluator": {"kind": "table", "table": table}}
    if recipe or recipe_params:
        method = {"name": recipe or "sandwich", "params": dict(map(parameter, recipe_params or []))}
        body["evaluator"] = {"kind": "supernet", "recipe": method}
    return body | {"space": space_reference(space, "--space"), "dataset": dataset, "finalists": {"count": finalists}}


def described(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``request_from``; it is called with their ``body`` and its own options.

    With ``--file`` the other options of the request are refused, and what the API finds wrong gets lines of the file.
    """
    options = inspect.signature(request_from, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @wraps(command)
    def run(context: typer.Context, **given: Any) -> None:
        file = given["file"]
        if file is not None:
            _refuse_others(context, options.keys() - {"file"})
        body = request_from(**{name: given.pop(name) for name in options})
        try:
            command(body=body, **given)
        except ApiError as error:
            raise (error if file is None else with_lines(error, file)) from None

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    together = [context, *options.values(), *(parameter for name, parameter in own.items() if name != "body")]
    together = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in together]
    run.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in together}
    return run


def _refuse_others(context: typer.Context, names: Set[str]) -> None:
    for option in context.command.params:
        source = context.get_parameter_source(str(option.name))
        if option.name in names and source is not None and source.name == "COMMANDLINE":
            message = "--file holds the whole request"
            raise InvalidInput.at(option.opts[0], message, suggestion="change the file, or leave one of them out")


def parameter(text: str) -> tuple[str, Any]:
    """``learning_rate=0.002``: a name, and a value as request files have it. Raises InvalidInput."""
    name, sign, value = text.partition("=")
    if not (name.strip() and sign and value.strip()):
        raise InvalidInput.at("--recipe-param", f"{text!r} is not NAME=VALUE", suggestion="e.g. learning_rate=0.002")
    try:
        return name.strip(), read_text(f"value: {value}")["value"]
    except SpaceError as error:
        raise InvalidInput.at("--recipe-param", f"{text!r}: {error.problems[0].message}") from None


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
