"""Whether a training came to anything: knowing how frequent each answer is, and no more, is to have learned nothing."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nas_service.methods.recipes.base import RecipeParams
from workers.training.tokens import IGNORED

# Of the loss of guessing: scores of networks that only guess scatter by less.
_LOSS_MARGIN = 0.01
# Standard errors of an accuracy by which it must lie above guessing.
_MARGIN = 2.0
_USUAL_ADAMW_RATE = 0.002


@dataclass(frozen=True)
class Guess:
    """Scores of answering with the frequencies of the answers (classes or tokens), whatever the sample."""

    accuracy_top1: float
    loss: float
    num_answers: int


def best_guess(batches: Iterable[tuple[Tensor, Tensor]]) -> Guess:
    """The scores on ``batches`` of (x, targets); targets (n,) are classes, (n, L) ids of which IGNORED do not count."""
    counts = torch.zeros(0, dtype=torch.long)
    for _, targets in batches:
        fresh = torch.bincount(targets[targets != IGNORED].flatten().cpu(), minlength=len(counts))
        fresh[: len(counts)] += counts
        counts = fresh
    total = int(counts.sum())
    shares = (counts[counts > 0].double() / max(1, total)).tolist()
    return Guess(max(shares, default=0.0), -sum(share * math.log(share) for share in shares), total)


def warnings_about(scores: dict[str, Any], guess: Guess, task: str, params: RecipeParams) -> list[dict[str, str]]:
    """What to tell about a trained supernet whose largest subnet has these ``scores`` on the samples of ``guess``.

    Language models are judged by their loss; classifiers by their accuracy too, since on a rare class a good one may
    never answer with it. A warning has ``code``, ``message`` and ``suggestion``.
    """
    accuracy, loss = float(scores["accuracy_top1"]), float(scores["loss"])
    spread = math.sqrt(guess.accuracy_top1 * (1 - guess.accuracy_top1) / max(1, guess.num_answers))
    if loss < guess.loss * (1 - _LOSS_MARGIN):
        return []
    if not task.endswith("_lm") and accuracy > guess.accuracy_top1 + _MARGIN * spread:
        return []
    answer = "token" if task.endswith("_lm") else "class"
    message = (
        f"the supernet only guesses, so what is found with it means nothing: on the search split its largest subnet "
        f"has accuracy {accuracy:.3f} and loss {loss:.3f}, and knowing only how frequent each {answer} is gives "
        f"{guess.accuracy_top1:.3f} and {guess.loss:.3f}"
    )
    return [{"code": "guessing", "message": message, "suggestion": _what_to_change(params)}]


def _what_to_change(params: RecipeParams) -> str:
    length = f"num_steps={params.num_steps}" if params.num_steps is not None else f"num_epochs={params.num_epochs:g}"
    rate = f"{params.learning_rate:g}"
    if params.optimiser == "sgd":
        other = f"optimiser=adamw and learning_rate={_USUAL_ADAMW_RATE:g}"
    else:
        slow = params.learning_rate < _USUAL_ADAMW_RATE / 10
        other = f"learning_rate={_USUAL_ADAMW_RATE if slow else params.learning_rate / 10:g}"
    return (
        f"try {other} (now {params.optimiser} with {rate}), or train longer (now {length}): each is a --recipe-param "
        "NAME=VALUE of `nas search create`, and stands in a request under evaluator.recipe.params"
    )
