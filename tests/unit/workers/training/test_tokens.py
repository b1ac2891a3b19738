"""Language models: targets, masks, their losses and metrics."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.nn import functional

from nas_service.datasets.dataset import Dataset, build_dataset
from nas_service.datasets.ingest_text import ingest_text
from nas_service.datasets.tokenizer import CLASS, MASK, PAD, SPECIALS
from search_spaces.network import Network
from search_spaces.shapes import TokensShape, VectorShape
from tests.support.texts import write_questions, write_story
from workers.training.data import DeviceData
from workers.training.errors import InvalidMetricError
from workers.training.keyed import stream
from workers.training.parts import LABELS, Task
from workers.training.scoring import score_as_is
from workers.training.targets import LabelsOrTeacher
from workers.training.tokens import IGNORED, MASKED_SHARE, draw_masks, mask, next_tokens

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Dataset:
    path = write_story(tmp_path_factory.mktemp("texts") / "story.txt")
    return build_dataset("story", ingest_text(path, length=32))


@pytest.fixture(scope="module")
def questions(tmp_path_factory) -> Dataset:
    path = write_questions(tmp_path_factory.mktemp("texts") / "questions.jsonl")
    return build_dataset("questions", ingest_text(path, text="text", label="kind", length=12))


def test_the_next_token_is_the_target() -> None:
    x = torch.tensor([[7, 8, 9, 10], [7, 8, PAD, PAD]])
    expected = torch.tensor([[8, 9, 10, IGNORED], [8, IGNORED, IGNORED, IGNORED]])
    assert torch.equal(next_tokens(x), expected)


def test_masks_follow_the_shares_and_spare_special_tokens() -> None:
    n, length, vocabulary = 400, 50, 90
    x = torch.randint(len(SPECIALS), vocabulary, (n, length), generator=torch.Generator().manual_seed(0))
    x[:, 0], x[:, -1] = CLASS, PAD
    shown, targets = mask(x, draw_masks(n, length, vocabulary, stream(0, "masks")))
    chosen = targets != IGNORED
    assert torch.equal(targets[chosen], x[chosen])
    assert torch.equal(shown[~chosen], x[~chosen])
    assert not chosen[:, 0].any()
    assert not chosen[:, -1].any()
    share = float(chosen[:, 1:-1].float().mean())
    assert abs(share - MASKED_SHARE) < 0.01
    as_mask = float((shown[chosen] == MASK).float().mean())
    unchanged = float((shown[chosen] == x[chosen]).float().mean())
    assert abs(as_mask - 0.8) < 0.03
    assert abs(unchanged - 0.1) < 0.03


def test_cutting_a_batch_changes_no_mask() -> None:
    x = torch.randint(4, 30, (10, 8), generator=torch.Generator().manual_seed(0))
    draws = draw_masks(10, 8, 30, stream(3, "masks", 1))
    whole = mask(x, draws)
    parts = [mask(x[rows], draws.rows(rows)) for rows in (slice(0, 3), slice(3, 10))]
    for k in (0, 1):
        assert torch.equal(whole[k], torch.cat([part[k] for part in parts]))


def test_batches_by_task(story: Dataset, questions: Dataset) -> None:
    data = DeviceData(story, CPU)
    (x, y), *_ = data.batches("search", 16, task="causal_lm")
    assert x.dtype == torch.int64
    assert torch.equal(y[:, :-1][y[:, :-1] != IGNORED], x[:, 1:][y[:, :-1] != IGNORED])
    (shown, targets), *_ = data.batches("search", 16, task="masked_lm")
    assert torch.equal(torch.where(targets == IGNORED, shown, targets), x)
    again = DeviceData(story, CPU).batches("search", 16, task="masked_lm")[0]
    assert torch.equal(again[0], shown)
    assert torch.equal(again[1], targets)
    (x, y), *_ = DeviceData(questions, CPU).batches("train", 16, task="sequence_classification")
    assert y.shape == (len(x),)
    assert (x[:, 0] == CLASS).all()


def test_batches_that_are_scored_hold_bounded_logits(story: Dataset) -> None:
    info = {**story.info, "input": {"length": 32, "vocabulary": 2**18}}
    wide = Dataset(info, story.x, story.y, story.split, story.calibrate, story.tokenizer)
    assert max(len(x) for x, _ in DeviceData(wide, CPU).scored("test", "causal_lm")) == 4
    assert len(DeviceData(story, CPU).scored("train", "causal_lm")[0][0]) > 100


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_mean_over_targets(smoothing: float) -> None:
    logits = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1, 2, IGNORED, 3, IGNORED]] * 2 + [[IGNORED] * 5])
    found = LabelsOrTeacher(smoothing).loss(Task("t", np.zeros(1)), logits, labels, {})
    kept = labels != IGNORED
    torch.testing.assert_close(found, functional.cross_entropy(logits[kept], labels[kept], label_smoothing=smoothing))
    nothing = LabelsOrTeacher(smoothing).loss(Task("t", np.zeros(1)), logits, torch.full_like(labels, IGNORED), {})
    assert float(nothing) == 0.0


def test_distillation_counts_the_same_tokens_and_shorter_networks_read_a_part() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = torch.randn(2, 5, 7, generator=generator), torch.randn(2, 4, 7, generator=generator)
    labels = torch.tensor([[1, 2, IGNORED, 3, 4]] * 2)
    found = LabelsOrTeacher(0.0, 2.0).loss(Task("t", np.zeros(1), "big"), student, labels, {"big": teacher})
    kept = labels[:, :4] != IGNORED
    soft = functional.softmax(teacher[:, :4][kept] / 2.0, dim=1)
    expected = functional.cross_entropy(student[kept] / 2.0, soft) * 4.0
    torch.testing.assert_close(found, expected)
    by_label = LabelsOrTeacher(0.0).loss(Task("t", np.zeros(1), LABELS), student, labels, {})
    torch.testing.assert_close(by_label, functional.cross_entropy(student[kept], labels[:, :4][kept]))


class Fixed(nn.Module):
    """Answers with given logits, whatever it reads."""

    def __init__(self, task: str, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits
        self.network = Network(task, None, TokensShape(4, 1) if task.endswith("_lm") else VectorShape(4), ())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits


class Peeking(Fixed):
    """Answers at each position with the token that follows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.one_hot(x.roll(-1, dims=1), 9).float() * 20.0


def test_metrics_of_classifiers_equal_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(50, 5, generator=generator)
    logits[:, 4] = -9.0  # a class that is never predicted, and below never present
    labels = torch.randint(0, 4, (50,), generator=generator)
    found = score_as_is(Fixed("sequence_classification", logits), [(torch.zeros(50, 4), labels)] * 2)
    predicted = logits.argmax(1)
    assert found["num_samples"] == 100
    assert found["f1_macro"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["accuracy_top1"] == int((predicted == labels).sum()) / 50
    assert found["loss"] == pytest.approx(float(functional.cross_entropy(logits, labels)))


def test_metrics_of_language_models() -> None:
    logits = torch.randn(6, 4, 9, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([[1, 2, IGNORED, IGNORED]] * 6)
    found = score_as_is(Fixed("causal_lm", logits), [(torch.zeros(6, 4, dtype=torch.long), y)])
    loss = float(functional.cross_entropy(logits[:, :2].flatten(0, 1), y[:, :2].flatten()))
    assert found["num_samples"] == 12
    assert found["loss"] == pytest.approx(loss)
    assert found["perplexity"] == pytest.approx(math.exp(loss))
    assert found["accuracy_top1"] == int((logits.argmax(2)[:, :2] == y[:, :2]).sum()) / 12
    assert "f1_macro" not in found
    x = torch.randint(4, 9, (6, 4), generator=torch.Generator().manual_seed(2))
    padded = torch.cat([x[:, :-1], torch.full((6, 1), PAD)], dim=1)
    for seen in (x, padded):
        with pytest.raises(InvalidMetricError, match="later tokens"):
            score_as_is(Peeking("causal_lm", logits), [(seen, next_tokens(seen))])
    assert score_as_is(Peeking("masked_lm", logits), [(x, next_tokens(x))])["accuracy_top1"] == 1.0
    for scale in (500.0, 1e4, math.inf):  # a loss whose perplexity is no number, and one that is none itself
        with pytest.raises(InvalidMetricError, match="loss"):
            score_as_is(Fixed("causal_lm", logits * scale), [(torch.zeros(6, 4, dtype=torch.long), y)])
