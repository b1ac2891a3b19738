"""The table of blocks in the description of the language: `python -m search_spaces.reference` writes it anew."""

from __future__ import annotations

from pathlib import Path

from search_spaces.blocks.base import Block, Param
from search_spaces.blocks.registry import BLOCKS

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- blocks: begin -->", "<!-- blocks: end -->"


def param_text(param: Param) -> str:
    """A parameter with its kind and default, as the table shows it."""
    if param.default is None:
        return f"{param.name}: {param.kind}"
    default = str(param.default).lower() if isinstance(param.default, bool) else param.default
    return f"{param.name}={default}"


def block_row(block: Block) -> dict[str, str]:
    """One row of the table."""
    return {
        "block": block.kind,
        "reads": "any number" if block.num_inputs is None else str(block.num_inputs),
        "parameters": ", ".join(param_text(param) for param in block.params) or "none",
        "what it is": block.help,
    }


def block_table() -> str:
    """All built-in blocks as a Markdown table."""
    rows = [block_row(block) for _, block in sorted(BLOCKS.items())]
    lines = ["| block | what it is | parameters |", "|---|---|---|"]
    lines += [f"| `{row['block']}` | {row['what it is']} | {_code(row['parameters'])} |" for row in rows]
    return "\n".join(lines)


def _code(parameters: str) -> str:
    return "none" if parameters == "none" else ", ".join(f"`{part}`" for part in parameters.split(", "))


def page_with_table(page: str) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{block_table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
