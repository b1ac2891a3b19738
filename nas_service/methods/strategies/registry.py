"""The strategies a search may name: a literal table, so that reading this file is knowing them all."""

from __future__ import annotations

from nas_service.methods.strategies.aging_evolution import AgingEvolution
from nas_service.methods.strategies.auto import Auto
from nas_service.methods.strategies.bananas import Bananas
from nas_service.methods.strategies.base import Strategy
from nas_service.methods.strategies.boshnas import Boshnas
from nas_service.methods.strategies.fixed import Fixed
from nas_service.methods.strategies.flow import Flow
from nas_service.methods.strategies.grid import Grid
from nas_service.methods.strategies.lamoo import Lamoo
from nas_service.methods.strategies.linas import Linas
from nas_service.methods.strategies.local_search import LocalSearch
from nas_service.methods.strategies.mcts import Mcts
from nas_service.methods.strategies.nsga2 import Nsga2
from nas_service.methods.strategies.nsga3 import Nsga3
from nas_service.methods.strategies.optuna_sampler import Optuna
from nas_service.methods.strategies.random import RandomSearch
from nas_service.methods.strategies.rl import Rl
from nas_service.methods.strategies.successive_halving import SuccessiveHalving
from nas_service.methods.strategies.surrogate import Surrogate
from nas_service.methods.strategies.uniform_scaling import UniformScaling
from nas_service.methods.strategies.warm_start import WarmStart

STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        Auto,
        Nsga2,
        Nsga3,
        Surrogate,
        RandomSearch,
        Grid,
        Mcts,
        Lamoo,
        Bananas,
        Linas,
        Boshnas,
        Rl,
        Optuna,
        SuccessiveHalving,
        Flow,
        WarmStart,
        LocalSearch,
        AgingEvolution,
        UniformScaling,
        Fixed,
    )
}
