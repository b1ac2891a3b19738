"""Optuna's samplers behind the contract: TPE, GP, NSGA-II and -III, CMA-ES, quasi-random, random.

The study is rebuilt in memory at each ask from the told trials and a seed keyed by the trial number: nothing of Optuna
is ever stored, and a restart changes nothing. For that the history a sampler sees is capped (``max_history``: the front
up to a half, then the latest; evolution takes the latest alone). Conditional choices are suggested as Optuna's
define-by-run does: only the active ones, in order. Pending trials are running trials. An infeasible trial enters as
complete with the worst values and a broken constraint; a failed one says nothing and is left out.

Departures: a suggestion that was evaluated before is drawn again. CMA-ES is started anew at each ask from the best
tenth of the history (its warm start), since its own state would have to be stored as a pickle; it and the quasi-random
sequence see every choice as a number. CMA-ES minimises a new random weighting of several objectives at each ask.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import Field

from nas_service.methods.strategies.archive import Archive, unit_scaled
from nas_service.methods.strategies.base import (
    Evaluation,
    Genes,
    Problem,
    Proposal,
    StrategyParams,
    generator,
)
from nas_service.methods.strategies.starting import StartingStrategy

Sampler = Literal["tpe", "gp", "nsga2", "nsga3", "cma", "qmc", "random"]
_TRIES = 10
_CMA_LEAST = 10  # the best tenth of them must be one at least
_AS_NUMBERS = ("cma", "qmc")
_BY_GENERATIONS = {"nsga2": "NSGAIISampler:generation", "nsga3": "NSGAIIISampler:generation"}
_GENERATIONS = 50  # Optuna selects the parents of a generation by recursion over all generations before
_MAX_HISTORY = {"tpe": 400, "gp": 100, "nsga2": 400, "nsga3": 400, "cma": 300, "qmc": 10, "random": 10}


class OptunaParams(StrategyParams):
    """Parameters of ``optuna``."""

    sampler: Sampler = Field(
        "tpe",
        description="tpe: multivariate density estimation; gp: Gaussian process (slow, few trials); nsga2, nsga3: "
        "evolution; cma: evolution strategy over choices as numbers; qmc: Sobol sequence; random.",
    )
    initial: int = Field(10, ge=1, le=10_000, description="Random architectures before the sampler is asked.")
    population: int = Field(20, ge=2, le=1_000, description="Size of a generation of nsga2 and nsga3.")
    max_history: int | None = Field(
        None,
        ge=1,
        le=5_000,
        description="Most trials the sampler sees; bounds the time of an ask. Empty: tpe, nsga2 and nsga3 400, "
        "cma 300, gp 100.",
    )


class SequenceSampler(optuna.samplers.QMCSampler):
    """Sobol points by their place in the sequence; Optuna counts places in the study, which is new at each ask."""

    def __init__(self, seed: int, place: int) -> None:
        super().__init__(
            scramble=True, seed=seed, warn_independent_sampling=False, warn_asynchronous_seeding=False
        )  # fmt: skip
        self.place = place

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        self.place += 1
        return self.place - 1


class SharedTrial(FrozenTrial):
    """A trial that copies share their dictionaries with: Optuna copies every trial that enters a study in depth."""

    @staticmethod
    def of(trial: FrozenTrial) -> SharedTrial:
        """The same trial. What a study changes of it (number and id) it changes of its copy."""
        shared = SharedTrial.__new__(SharedTrial)
        shared.__dict__.update(trial.__dict__)
        return shared

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedTrial:
        return SharedTrial.of(self)


class Optuna(StartingStrategy):
    """One suggestion of an Optuna sampler per ask."""

    name = "optuna"
    help = "Samplers of the Optuna library (TPE by default), for comparison and for teams used to them."
    Params = OptunaParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        kind: Sampler = self.params.sampler
        self.num_starts = max(self.params.initial, _CMA_LEAST if kind == "cma" else 1)
        self._limit = self.params.max_history or _MAX_HISTORY[kind]
        self._archive = Archive(problem.num_objectives)
        self._trials: dict[int, FrozenTrial] = {}  # of the archive by index: those of the last ask
        self._infeasible: list[Genes] = []
        self._skipped = 0  # places of the quasi-random sequence that gave nothing new
        self._distributions: dict[str, BaseDistribution] = {}
        for gene in problem.space.genes:
            size = len(gene.options)
            as_number = gene.ordered or kind in _AS_NUMBERS
            distribution = IntDistribution(0, size - 1) if as_number else CategoricalDistribution(tuple(range(size)))
            self._distributions[gene.name] = distribution

    @property
    def ready(self) -> bool:
        return len(self._archive) >= (_CMA_LEAST if self.params.sampler == "cma" else 1)

    def learn(self, evaluation: Evaluation) -> None:
        if evaluation.status == "infeasible":
            self._infeasible = [*self._infeasible, evaluation.genes][-max(1, self._limit // 4) :]
        if evaluation.status != "succeeded":
            return
        self._archive.add(evaluation)

    def _trial(self, genes: Genes, **further: Any) -> FrozenTrial:
        names = [
            (gene.name, int(k)) for gene, k in zip(self.problem.space.genes, genes, strict=True) if k >= 0
        ]  # fmt: skip
        return create_trial(
            params=dict(names), distributions={name: self._distributions[name] for name, _ in names}, **further
        )

    def _told(self, index: int) -> FrozenTrial:
        evaluation = self._archive.good[index]
        return self._trial(evaluation.genes, values=list(evaluation.objectives or ()))

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        taken = self.candidates.taken(pending)
        rng = generator(self.problem.seed, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = self._study(number, pending, rng)
            for attempt in range(_TRIES):
                trial = study.ask()
                genes = self._suggest(trial, rng)
                new = self.candidates.fresh(genes[None], taken)
                if len(new):
                    return Proposal(new[0], {"kind": "suggestion", "tries": attempt + 1})
                self._skipped += 1
                study.tell(trial, state=TrialState.FAIL)
        return None

    def _study(self, number: int, pending: Sequence[Genes], rng: np.random.Generator) -> optuna.Study:
        """The told trials within the cap and the pending ones, with a sampler of its own seed."""
        population, generation = self.params.population, _BY_GENERATIONS.get(self.params.sampler)
        if generation is None:
            window = self._archive.window(len(self._archive), self._limit)
        else:
            limit = min(self._limit, _GENERATIONS * population)
            first = -(-max(0, len(self._archive) - limit) // population) * population
            window = np.arange(first, len(self._archive))
        self._trials = {i: self._trials.get(i) or self._told(i) for i in map(int, window)}
        trials = list(self._trials.values())
        if generation is not None:
            for i, trial in enumerate(trials):
                trial.system_attrs = {generation: i // population}
        single = self.params.sampler == "cma"
        if single and self.problem.num_objectives > 1:
            scaled = unit_scaled(self._archive.objectives[window])
            weighted = (scaled * rng.dirichlet(np.ones(scaled.shape[1]))).max(axis=1)
            trials = [
                create_trial(params=t.params, distributions=t.distributions, value=float(value))
                for t, value in zip(trials, weighted, strict=True)
            ]
        elif self._infeasible and self.params.sampler in ("tpe", "gp"):
            worst = self._archive.objectives.max(axis=0).tolist()
            trials = [
                create_trial(params=t.params, distributions=t.distributions, values=t.values, constraints={"told": 0.0})
                for t in trials
            ]
            trials += [self._trial(genes, values=worst, constraints={"told": 1.0}) for genes in self._infeasible]
        directions = [StudyDirection.MINIMIZE] * (1 if single else self.problem.num_objectives)
        study = optuna.create_study(directions=directions, sampler=self._sampler(number, trials, rng))
        study.add_trials([SharedTrial.of(trial) for trial in trials])
        study.add_trials([self._trial(genes, state=TrialState.RUNNING) for genes in pending])
        return study

    def _sampler(self, number: int, trials: list[FrozenTrial], rng: np.random.Generator) -> optuna.samplers.BaseSampler:
        seed = int(rng.integers(2**31))
        own = self.problem.seed % 2**31
        make: dict[Sampler, Callable[[], optuna.samplers.BaseSampler]] = {
            "tpe": lambda: optuna.samplers.TPESampler(n_startup_trials=1, multivariate=True, seed=seed),
            "gp": lambda: optuna.samplers.GPSampler(
                n_startup_trials=1, seed=seed, deterministic_objective=True, warn_independent_sampling=False
            ),
            "nsga2": lambda: optuna.samplers.NSGAIISampler(population_size=self.params.population, seed=seed),
            "nsga3": lambda: optuna.samplers.NSGAIIISampler(population_size=self.params.population, seed=seed),
            "cma": lambda: optuna.samplers.CmaEsSampler(
                source_trials=always_active(trials), seed=seed, warn_independent_sampling=False
            ),
            "qmc": lambda: SequenceSampler(own, number - self.num_starts + self._skipped),
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        }
        return make[self.params.sampler]()

    def _suggest(self, trial: optuna.Trial, rng: np.random.Generator) -> Genes:
        """The architecture (G,) of one Optuna trial: active choices in order, then repaired to a valid one."""
        space = self.problem.space
        row = np.full(len(space.genes), -1, dtype=np.int16)
        for j, gene in enumerate(space.genes):
            if space.canonical(row)[j] < 0:
                continue
            distribution = self._distributions[gene.name]
            if isinstance(distribution, CategoricalDistribution):
                row[j] = trial.suggest_categorical(gene.name, range(len(gene.options)))
            else:
                row[j] = trial.suggest_int(gene.name, 0, len(gene.options) - 1)
        row = space.canonical(row)
        # A child of two equal parents is the parent, repaired where a constraint of the space is broken.
        return row if space.valid(row[None])[0] else space.crossover(row[None], row[None], rng)[0]

    def state(self) -> dict[str, Any]:
        return {**super().state(), "skipped": self._skipped}

    def restore(self, state: dict[str, Any], history: Iterable[Evaluation]) -> None:
        super().restore(state, history)
        self._skipped = state["skipped"]


def always_active(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials without the choices that only some of them have, and without those that are none."""
    shared = set.intersection(*(set(t.params) for t in trials))
    names = [name for name in trials[0].params if name in shared and not trials[0].distributions[name].single()]
    return [
        create_trial(
            value=t.value,
            params={name: t.params[name] for name in names},
            distributions={name: t.distributions[name] for name in names},
        )
        for t in trials
    ]
