"""Strategies inside strategies: naming one in parameters, and the base of those that are made of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core.core_schema import ValidationInfo

from nas_service.methods.strategies.base import Evaluation, Problem, Strategy, StrategyParams


def known_strategies() -> dict[str, type[Strategy]]:
    """The registry. It lists the composed strategies too, so it can only be imported once these modules are."""
    from nas_service.methods.strategies.registry import STRATEGIES

    return STRATEGIES


def _list_names(schema: dict[str, Any]) -> None:
    """The names that are allowed, for forms made from the schema."""
    schema["enum"] = sorted(set(known_strategies()) - {"warm_start"})


class Nested(BaseModel):
    """A strategy by name with its parameters, which are checked and completed like those of the outer one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        description="A strategy; warm_start is outermost and cannot be named here.", json_schema_extra=_list_names
    )
    params: dict[str, Any] = Field({}, validate_default=True, description="Its parameters.")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        allowed = sorted(set(known_strategies()) - {"warm_start"})
        if name not in allowed:
            raise ValueError(f"no strategy {name!r} can be named here; allowed: {', '.join(allowed)}")
        return name

    @field_validator("params")
    @classmethod
    def _complete(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "name" not in info.data:
            return params
        try:
            return known_strategies()[info.data["name"]].Params.model_validate(params).model_dump(mode="json")
        except ValidationError as error:
            items = error.errors(include_url=False, include_input=False, include_context=False)
            raise ValueError(
                "; ".join(f"{'.'.join(map(str, item['loc'])) or 'params'}: {item['msg']}" for item in items)
            ) from None

    def build(self, problem: Problem) -> Strategy:
        """A new strategy for the problem."""
        kind = known_strategies()[self.name]
        return kind(problem, kind.Params.model_validate(self.params))


class ComposedStrategy(Strategy):
    """A strategy whose memory is that of its parts, by name."""

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self.parts: dict[str, Strategy] = {}

    @property
    def num_rejected(self) -> int:
        return sum(part.num_rejected for part in self.parts.values())

    def state(self) -> dict[str, Any]:
        return {name: part.state() for name, part in self.parts.items()}

    def restore(self, state: dict[str, Any], history: Iterable[Evaluation]) -> None:
        super().restore(state, history)
        for name, part in self.parts.items():
            part.restore(state[name], [])
