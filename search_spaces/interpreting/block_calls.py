"""One block by itself: the shape that it makes of given inputs and parameters, or what is wrong with these."""

from __future__ import annotations

from typing import Any

import numpy as np

from search_spaces.blocks.base import BlockError, Param
from search_spaces.compiling.parameters import MAX_SIZE, param_problem, parameter_advice
from search_spaces.compiling.program import BlockOp
from search_spaces.errors import SpaceError
from search_spaces.interpreting.flows import coerced, described, numbers_of, plain_shape
from search_spaces.language.operations import ARITHMETIC_ERRORS
from search_spaces.shapes import Shape

FAULTS = (BlockError, *ARITHMETIC_ERRORS)
_ADVICE = {
    "add": "give all inputs one shape; in a residual write shortcut: and a node that gives the other shape, or "
    "shortcut: none to add nothing where they differ; adapt: fits one to another",
    "concat": "give all inputs one kind, and feature maps one height and width: the same strides on every way here, or "
    "an upsample; sequences join feature by feature, not one after the other",
    "multiply": "give all inputs one shape; a gate may be one pixel (behind a global_pool) or one channel, or "
    "behind a map or a sequence a vector",
}


def made_shape(op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any], keeps_columns: bool = False) -> Shape:
    """What the block makes of its inputs; columns of one number become that. Raises one of FAULTS where it cannot."""
    out = plain_shape(op.block.out_shape(shapes, params), keeps_columns)
    for name, size in numbers_of(out).items():
        if not isinstance(size, np.ndarray) and not 1 <= size <= MAX_SIZE:
            raise BlockError(f"{op.block.kind} makes {name} {size} of {described(shapes)}")
    return out


def refusal(op: BlockOp, shapes: tuple[Shape, ...], error: Exception) -> SpaceError:
    """What a document's author is told of one of FAULTS."""
    message = f"{error} (for example at {op.key}, which reads {described(shapes)})"
    advice = (
        getattr(error, "suggestion", "") or _ADVICE.get(op.block.kind) or "change the values or choices that lead here"
    )
    return SpaceError(op.pointer, "block", message, advice)


def fitting(op: BlockOp, param: Param, raw: Any, pointer: str) -> Any:
    """A parameter's value of the parameter's type. Raises SpaceError where a number is one that it may not have."""
    value = coerced(raw, param.kind, pointer)
    if not isinstance(value, np.ndarray) and not op.params[param.name].is_pure:
        # Values that follow a shape are known only now; the others were checked once at compilation.
        problem = param_problem(param, value)
        if problem:
            message = f"{op.block.kind}.{param.name} = {value!r}: {problem}"
            raise SpaceError(pointer, "parameter", message, parameter_advice(param, value))
    return value
