"""What every training recipe must do; a test of a recipe inherits this and names the recipe."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tests.unit.workers.training.tiny import TinySupernet, assert_same_bits, tiny_trainer, weights_of
from workers.context import WorkContext
from workers.training.keyed import stream
from workers.training.parts import LABELS


class RecipeContract:
    """Set `recipe` to a document such as {"name": "sandwich"}; the rest follows."""

    recipe: ClassVar[dict[str, Any]]

    def document(self, **more: Any) -> dict[str, Any]:
        return {**self.recipe, "num_steps": 6, "batch_size": 32, **more}

    def trained(self, directory: Path, document: dict[str, Any]) -> dict[str, torch.Tensor]:
        trainer = tiny_trainer(directory, document, net=TinySupernet(dropout=0.2))
        trainer.run()
        return weights_of(trainer.net)

    def test_plans_depend_on_the_key_alone(self, tmp_path: Path) -> None:
        recipes = [tiny_trainer(tmp_path, self.document()).recipe for _ in range(2)]
        for step in (5, 0, 3, 5):
            plans = [recipe.phase_at(step)[0].sampler.plan(stream(7, "plan", step)) for recipe in recipes]
            for a, b in zip(*plans, strict=True):
                assert (a.name, a.learns_from, a.weight, a.regularise) == (
                    b.name,
                    b.learns_from,
                    b.weight,
                    b.regularise,
                )
                assert np.array_equal(a.genes, b.genes)

    def test_targets_are_labels_or_earlier_tasks(self, tmp_path: Path) -> None:
        recipe = tiny_trainer(tmp_path, self.document()).recipe
        for step in range(recipe.num_steps):
            names = [LABELS]
            for task in recipe.phase_at(step)[0].sampler.plan(stream(1, "plan", step)):
                assert task.learns_from in names
                assert task.name not in names
                names.append(task.name)

    def test_phases_cover_all_steps(self, tmp_path: Path) -> None:
        recipe = tiny_trainer(tmp_path, self.document()).recipe
        assert recipe.num_steps == 6
        with pytest.raises(IndexError):
            recipe.phase_at(6)

    def test_seed_fixes_every_bit(self, tmp_path: Path) -> None:
        first = self.trained(tmp_path / "a", self.document())
        torch.rand(5)
        np.random.default_rng().random()
        assert_same_bits(first, self.trained(tmp_path / "b", self.document()))

    def test_resume_is_exact(self, tmp_path: Path) -> None:
        whole = self.trained(tmp_path / "whole", self.document())
        answers = iter([False, False, True])
        context = WorkContext(artifacts=tmp_path / "parts", should_stop=lambda: next(answers))
        stopped = tiny_trainer(tmp_path / "parts", self.document(), net=TinySupernet(dropout=0.2), context=context)
        assert stopped.run().interrupted
        assert_same_bits(whole, self.trained(tmp_path / "parts", self.document()))

    def test_training_lowers_the_loss(self, tmp_path: Path) -> None:
        reports: list[dict[str, Any]] = []
        context = WorkContext(artifacts=tmp_path, report=reports.append)
        tiny_trainer(tmp_path, self.document(num_steps=120, learning_rate=0.1), context=context).run()
        losses = [report["loss"] for report in reports if report["type"] == "progress"]
        assert losses[-1] < 1.5  # an untrained network has ln 10 = 2.3
