"""The expression grammar of the language: text to a small syntax tree. Nothing is ever evaluated as Python."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from search_spaces.errors import SpaceError

MAX_EXPRESSION = 2_000
MAX_NESTING = 48

GRAMMAR = r"""
?start: choice
?choice: disjunction ["?" choice ":" choice] -> conditional
?disjunction: conjunction (("||" | "or") conjunction)* -> disjunction
?conjunction: negation (("&&" | "and") negation)* -> conjunction
?negation: ("!" | "not") negation -> negation
         | comparison
?comparison: total (COMPARE total)? -> comparison
           | total IN total -> membership
?total: term (SIGN term)* -> chain
?term: factor (TIMES factor)* -> chain
?factor: SIGN factor -> signed
       | power
?power: postfix (_POW factor)? -> power
?postfix: atom
        | postfix "." word -> dotted
        | postfix "[" choice "]" -> indexed
        | NAME "(" [choice ("," choice)*] ")" -> call
        | NAME "(" choice ":" choice ")" -> quantifier
?atom: NUMBER -> number
     | STRING -> string
     | "true" -> true
     | "false" -> false
     | "null" -> null
     | NAME -> name
     | IN -> name
     | "(" choice ")"
     | "(" choice ("," choice)+ ")" -> tuple_
     | "[" [choice ("," choice)*] "]" -> list_
word: NAME | IN
IN: "in"
COMPARE: "<=" | ">=" | "==" | "!=" | "<" | ">"
_POW.2: "**"
SIGN: "+" | "-"
TIMES: "//" | "*" | "/" | "%"
NAME: /[A-Za-z_][A-Za-z0-9_]*/
NUMBER: /[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?/
STRING: /'[^'\n]*'/ | /"[^"\n]*"/
%ignore /[ \t\r\n]+/
"""


@dataclass(frozen=True)
class Term:
    """A node of the syntax tree: `op` with operands that are Terms or plain values."""

    op: str
    args: tuple[Any, ...]
    depth: int = 1


def term(op: str, *args: Any) -> Term:
    depth = 1 + max((arg.depth for arg in args if isinstance(arg, Term)), default=0)
    if depth > MAX_NESTING:
        raise SpaceError("", "expression", "the expression is nested too deeply", "name parts with let")
    return Term(op, args, depth)


@v_args(inline=True)
class _Build(Transformer):
    def number(self, token: Token) -> Term:
        text = str(token)
        whole = text.isdigit()
        if (whole and len(text) > 16) or (not whole and not abs(float(text)) < 1e300):
            raise SpaceError("", "expression", f"the number {text[:20]} is too large")
        return term("literal", int(text) if whole else float(text))

    def string(self, token: Token) -> Term:
        return term("literal", str(token)[1:-1])

    def true(self) -> Term:
        return term("literal", True)

    def false(self) -> Term:
        return term("literal", False)

    def null(self) -> Term:
        return term("literal", None)

    def name(self, token: Token) -> Term:
        return term("name", str(token))

    def word(self, token: Token) -> str:
        return str(token)

    def conditional(self, test: Term, yes: Term | None = None, no: Term | None = None) -> Term:
        return test if yes is None else term("conditional", test, yes, no)

    def disjunction(self, *parts: Term) -> Term:
        return parts[0] if len(parts) == 1 else term("or", *parts)

    def conjunction(self, *parts: Term) -> Term:
        return parts[0] if len(parts) == 1 else term("and", *parts)

    def negation(self, operand: Term) -> Term:
        return term("not", operand)

    def comparison(self, left: Term, op: Token | None = None, right: Term | None = None) -> Term:
        return left if op is None else term("compare", str(op), left, right)

    def membership(self, left: Term, _in: Token, right: Term) -> Term:
        return term("member", left, right)

    def chain(self, first: Term, *rest: Any) -> Term:
        # A long sum is folded in balance, so that its length does not count as nesting.
        result = first
        if len(rest) > 8 and {str(op) for op in rest[::2]} == {"+"}:
            parts = [first, *rest[1::2]]
            while len(parts) > 1:
                parts = [
                    term("arith", "+", *parts[i : i + 2]) if i + 1 < len(parts) else parts[i]
                    for i in range(0, len(parts), 2)
                ]
            return parts[0]
        for op, operand in zip(rest[::2], rest[1::2], strict=True):
            result = term("arith", str(op), result, operand)
        return result

    def signed(self, op: Token, operand: Term) -> Term:
        return operand if str(op) == "+" else term("arith", "-", term("literal", 0), operand)

    def power(self, base: Term, exponent: Term | None = None) -> Term:
        return base if exponent is None else term("arith", "**", base, exponent)

    def dotted(self, base: Term, field: str) -> Term:
        return term("field", base, field)

    def indexed(self, base: Term, index: Term) -> Term:
        return term("index", base, index)

    def call(self, function: Token, *args: Any) -> Term:
        return term("call", str(function), *(arg for arg in args if arg is not None))

    def quantifier(self, kind: Token, binder: Term, body: Term) -> Term:
        if binder.op != "member":
            raise SpaceError("", "expression", f"write {kind}(x in things: ...)")
        target, collection = binder.args
        names = target.args if target.op == "tuple" else (target,)
        if not all(item.op == "name" for item in names):
            raise SpaceError("", "expression", f"write {kind}(x in things: ...) with a plain name")
        return term("quantifier", str(kind), tuple(item.args[0] for item in names), collection, body)

    def tuple_(self, *parts: Term) -> Term:
        return term("tuple", *parts)

    def list_(self, *parts: Term | None) -> Term:
        return term("list", *(part for part in parts if part is not None))


@functools.lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=True)


@functools.lru_cache(maxsize=4096)
def parse_expression(text: str) -> Term:
    """Syntax tree of an expression, with or without its leading '='. Raises SpaceError (pointer left empty)."""
    body = text[1:] if text.startswith("=") else text
    if len(body) > MAX_EXPRESSION:
        raise SpaceError("", "expression", f"longer than {MAX_EXPRESSION} characters", "name parts with let")
    if body.count("(") + body.count("[") + body.count("!") + body.count("?") > 200:
        raise SpaceError("", "expression", "too many brackets", "name parts with let")
    try:
        tree = _parser().parse(body)
        built = _Build().transform(tree)
    except UnexpectedInput as error:
        column = getattr(error, "column", -1)
        where = f"at column {column}" if column and column > 0 else "at its end"
        excerpt = body[max(0, (column or 1) - 11) : (column or 1) + 9]
        raise SpaceError(
            "", "expression", f"cannot read '{body[:80]}' {where}, near '{excerpt}'", _advice(body)
        ) from None
    except VisitError as error:
        if isinstance(error.orig_exc, SpaceError):
            raise error.orig_exc from None
        raise
    except RecursionError:
        raise SpaceError("", "expression", "the expression is nested too deeply") from None
    return built if isinstance(built, Term) else term("literal", built)


def _advice(body: str) -> str:
    """What to write instead of some text that is not an expression."""
    if "{" in body:
        return "a choice cannot stand inside an expression: name it in a let, then write its name"
    if sum(body.count(mark) for mark in "([") > sum(body.count(mark) for mark in ")]"):
        return "a bracket is not closed"
    if "$" in body or "`" in body:
        return "write names plainly, without $ or quotes"
    if " if " in body and " else " in body:
        return "write a condition as: test ? yes : no"
    if re.search(r"(?<![=<>!])=(?!=)", body):
        return "compare with =="
    if re.search(r"\bis\b|\blambda\b|\bfor\b", body):
        return "this is no Python: see Expressions in the description of the language"
    return "known: + - * / // % ** == != < <= > >= && || ! a ? b : c, calls, names, lists"
