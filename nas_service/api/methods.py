"""What a search request may name: strategies, recipes, runtimes, metrics, and the language of spaces."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from inspect import cleandoc

from fastapi import APIRouter

from nas_service.api.views import MetaOut, MethodOut, MethodsOut
from nas_service.domain.metrics import METRICS
from nas_service.methods.recipes.registry import NETWORK_RECIPES, RECIPES, SUPERNET_RECIPES
from nas_service.methods.runtimes import RUNTIMES
from nas_service.methods.strategies.registry import STRATEGIES
from search_spaces.language.document import json_schema

router = APIRouter(prefix="/v1", tags=["methods"])


@router.get("/methods", response_model=MethodsOut)
def list_all() -> MethodsOut:
    """Everything that can be named, with JSON Schemas of the parameters."""
    return _methods()


@router.get("/meta", response_model=MetaOut)
def meta() -> MetaOut:
    """The service and its version."""
    return MetaOut(name="nas-service", version=version("nas-service"))


@cache
def _methods() -> MethodsOut:
    return MethodsOut(
        strategies=[
            MethodOut(name=name, help=strategy.help, parameters=strategy.Params.model_json_schema())
            for name, strategy in STRATEGIES.items()
        ],
        supernet_recipes=[_recipe(name) for name in sorted(SUPERNET_RECIPES)],
        network_recipes=[_recipe(name) for name in sorted(NETWORK_RECIPES)],
        runtimes=[asdict(runtime) for runtime in RUNTIMES.values()],
        metrics=[asdict(metric) for metric in METRICS.values()],
        space_language=json_schema(),
    )


def _recipe(name: str) -> MethodOut:
    model = RECIPES[name]
    return MethodOut(name=name, help=cleandoc(model.__doc__ or ""), parameters=model.model_json_schema())
