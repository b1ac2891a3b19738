"""The table of blocks in the description of the language: `python -m search_spaces.reference` writes it anew."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from search_spaces.blocks.arithmetic import KERNEL, STRIDE, activation_param
from search_spaces.blocks.base import Block, Param
from search_spaces.blocks.registry import BLOCKS

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- blocks: begin -->", "<!-- blocks: end -->"


def param_text(param: Param) -> str:
    """A parameter with its kind and default, as the table shows it."""
    if param.follows:
        return f"{param.name}=input.{param.follows}"
    if param.default is None:
        return f"{param.name}: {param.kind}"
    default = str(param.default).lower() if isinstance(param.default, bool) else param.default
    return f"{param.name}={default}"


def param_values(param: Param) -> str:
    """What a parameter may be."""
    if param.allowed is not None:
        return f"one of {_listed(param.allowed)}"
    if param.kind in ("bool", "str"):
        return "true or false" if param.kind == "bool" else "a text"
    bounds = [("from", param.minimum), ("to", param.maximum)]
    kind = "a whole number" if param.kind == "int" else "a number"
    return " ".join([kind, *(f"{word} {bound:g}" for word, bound in bounds if bound is not None)])


def param_row(param: Param) -> dict[str, str]:
    """One parameter of a block in full."""
    text = param_text(param)
    default = text.split("=", 1)[1] if "=" in text else "must be given"
    return {"parameter": param.name, "default": default, "values": param_values(param), "what it is": param.help}


def block_row(block: Block) -> dict[str, str]:
    """One row of the table."""
    return {
        "block": block.kind,
        "reads": "any number" if block.num_inputs is None else str(block.num_inputs),
        "parameters": ", ".join(param_text(param) for param in block.params) or "none",
        "what it is": block.help,
    }


def block_table() -> str:
    """All built-in blocks as a Markdown table, below the values that most of their parameters have in common."""
    common = (activation_param(), KERNEL, STRIDE)
    known = "; ".join(f"`{param.name}`: {_listed(param.allowed or ())}" for param in common)
    lines = [f"Values, where the table names no others: {known}.", ""]
    lines += ["| block | what it is | parameters |", "|---|---|---|"]
    usual = {param.allowed for param in common}
    for _, block in sorted(BLOCKS.items()):
        cells = [f"`{param_text(param)}`{_others(param, usual)}" for param in block.params]
        lines.append(f"| `{block.kind}` | {block.help} | {', '.join(cells) or 'none'} |")
    return "\n".join(lines)


def _others(param: Param, usual: Collection[tuple[Any, ...] | None]) -> str:
    """The values besides the default, in brackets, where they are few and not the usual ones."""
    if param.allowed is None or param.allowed in usual:
        return ""
    odd = KERNEL.allowed or ()
    if param.default in odd and set(odd) < set(param.allowed):
        return f" (or {_listed(tuple(value for value in param.allowed if value not in odd), '`')})"
    others = tuple(value for value in param.allowed if value != param.default)
    return f" (or {_listed(others, '`')})"


def _listed(values: tuple[Any, ...], quote: str = "") -> str:
    """Values one after the other; many odd numbers in words."""
    if len(values) > 8 and values == tuple(range(1, 2 * len(values), 2)):
        return f"the odd numbers up to {values[-1]}"
    return ", ".join(f"{quote}{value}{quote}" for value in values)


def page_with_table(page: str) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{block_table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
