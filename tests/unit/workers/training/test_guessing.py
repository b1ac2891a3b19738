"""A supernet that has learned nothing is called so, and one that has learned something is not."""

import math

import numpy as np
import pytest
import torch

from nas_service.methods.recipes.base import RecipeParams
from workers.training.guessing import Guess, best_guess, warnings_about
from workers.training.tokens import IGNORED

X = torch.zeros(1)


def test_a_guess_has_the_scores_of_the_best_constant_answer():
    rng = np.random.default_rng(0)
    targets = torch.from_numpy(rng.choice(4, size=200, p=[0.1, 0.2, 0.3, 0.4]))
    found = best_guess([(X, part) for part in targets.split(60)])
    best = torch.bincount(targets).double().log()
    assert found.loss == pytest.approx(loss_of(best, targets))
    for other in (best + torch.eye(4)[0] * 0.1, best - torch.eye(4)[2] * 0.1):
        assert loss_of(other, targets) > found.loss
    assert found.accuracy_top1 == int((targets == best.argmax()).sum()) / 200
    assert found.num_answers == 200


def loss_of(logits, targets):
    return float(torch.nn.functional.cross_entropy(logits.expand(len(targets), -1), targets))


def test_tokens_that_do_not_count_are_no_answers():
    ids = torch.tensor([[5, 5, IGNORED], [7, IGNORED, IGNORED]])
    found = best_guess([(X, ids)])
    assert (found.accuracy_top1, found.num_answers) == (pytest.approx(2 / 3), 3)
    assert best_guess([(X, torch.full((1, 2), IGNORED))]) == Guess(0.0, 0.0, 0)


TEN = Guess(0.1, math.log(10), 270)
RARE = Guess(0.99, 0.056, 1000)
TOKENS = Guess(0.16, 3.0, 50_000)


@pytest.mark.parametrize(
    ("task", "guess", "accuracy", "loss", "guesses"),
    [
        ("image_classification", TEN, 0.104, 2.303, True),
        ("image_classification", TEN, 0.09, 9.0, True),
        ("image_classification", TEN, 0.13, 2.31, True),  # within the noise of 270 samples
        ("image_classification", TEN, 0.59, 2.5, False),  # overconfident, but it knows something
        ("image_classification", TEN, 0.15, 2.1, False),
        ("vector_classification", RARE, 0.99, 0.03, False),  # ranks a rare class without ever answering it
        ("vector_classification", RARE, 0.99, 0.056, True),
        ("causal_lm", TOKENS, 0.161, 3.05, True),
        ("masked_lm", TOKENS, 0.20, 3.0, True),
        ("causal_lm", TOKENS, 0.16, 2.8, False),
    ],
)
def test_who_only_guesses(task, guess, accuracy, loss, guesses):
    found = warnings_about({"accuracy_top1": accuracy, "loss": loss}, guess, task, RecipeParams())
    assert [warning["code"] for warning in found] == ["guessing"] * guesses


def test_the_warning_says_what_to_change():
    scores = {"accuracy_top1": 0.1, "loss": 2.4}
    (sgd,) = warnings_about(scores, TEN, "image_classification", RecipeParams(num_epochs=3))
    assert "accuracy 0.100" in sgd["message"]
    assert "optimiser=adamw and learning_rate=0.002 (now sgd with 0.1)" in sgd["suggestion"]
    assert "num_epochs=3" in sgd["suggestion"]
    assert "--recipe-param" in sgd["suggestion"]
    params = RecipeParams(optimiser="adamw", learning_rate=0.01, num_steps=7)
    (adamw,) = warnings_about(scores, TEN, "image_classification", params)
    assert "learning_rate=0.001" in adamw["suggestion"]
    assert "num_steps=7" in adamw["suggestion"]
    slow = params.model_copy(update={"learning_rate": 1e-6})
    (too_slow,) = warnings_about(scores, TEN, "image_classification", slow)
    assert "learning_rate=0.002 (now adamw with 1e-06)" in too_slow["suggestion"]
