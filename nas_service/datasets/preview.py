"""A look at a data set: a grid of samples as PNG, samples as text or numbers, how many each class has in each split."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nas_service.datasets.dataset import Dataset
from nas_service.datasets.errors import DatasetError

MAX_PREVIEW = 400
_MIN_CELL = 48
_MAX_CELL = 128
_LINE_WIDTH = 720
_LINE_HEIGHT = 20
_LINE_CHARACTERS = 160


def preview(dataset: Dataset, n: int = 64, split: str = "train") -> bytes:
    """PNG of up to n samples of a split, classes in turn, in a grid that is about square.

    Images are shown as they are; vectors as grey strips, each feature scaled from mean - 2 std (black) to mean + 2 std;
    text as one line a sample, decoded from its token ids, after its class.
    """
    chosen = _chosen(dataset, n, split)
    cells = [_cell(dataset, int(i)) for i in chosen]
    height, width = cells[0].shape[:2]
    columns = 1 if dataset.kind == "text" else max(1, round((len(cells) * height / width) ** 0.5))
    rows = -(-len(cells) // columns)
    gap = 2
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 128, dtype=np.uint8)
    for position, cell in enumerate(cells):
        top = gap + (position // columns) * (height + gap)
        left = gap + (position % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = cell
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Sample:
    """One sample as people read it: its class where there are classes, a text as decoded, a row's numbers as stored.

    Of an image only the class; ``preview`` shows it.
    """

    label: str | None
    text: str | None
    values: list[float] | None


def samples(dataset: Dataset, n: int = 64, split: str = "train") -> list[Sample]:
    """Up to n samples of a split, classes in turn: those that ``preview`` draws. Raises DatasetError as it does."""
    return [_sample(dataset, int(index)) for index in _chosen(dataset, n, split)]


def _sample(dataset: Dataset, index: int) -> Sample:
    return Sample(
        label=dataset.classes[int(dataset.y[index])] if dataset.classes else None,
        text=_decoded(dataset, index) if dataset.kind == "text" else None,
        values=[float(value) for value in dataset.x[index]] if dataset.kind == "vector" else None,
    )


def _chosen(dataset: Dataset, n: int, split: str) -> np.ndarray:
    if not 1 <= n <= MAX_PREVIEW:
        raise DatasetError("n", str(n), f"1 to {MAX_PREVIEW}")
    return _in_turn(dataset, dataset.indices(split))[:n]


def shown_text(dataset: Dataset, index: int) -> str:
    """A text sample as a network gets it: decoded token ids, after the name of its class where it has one."""
    text = _decoded(dataset, index)
    return f"{dataset.classes[int(dataset.y[index])]}: {text}" if dataset.classes else text


def _decoded(dataset: Dataset, index: int) -> str:
    if dataset.tokenizer is None:
        raise DatasetError(dataset.name, "holds no text", "a text data set")
    return dataset.tokenizer.decode(np.asarray(dataset.x[index]).tolist())


def _in_turn(dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    """Indices reordered so that the classes take turns."""
    labels = dataset.y[indices]
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(dataset.classes))
    turn = np.empty(len(indices), dtype=np.int64)
    turn[order] = np.arange(len(indices)) - np.repeat(np.cumsum(counts) - counts, counts)
    return indices[np.lexsort((labels, turn))]


def _cell(dataset: Dataset, index: int) -> np.ndarray:
    """uint8 (height, width, 3)."""
    sample = np.asarray(dataset.x[index])
    if dataset.kind == "text":
        return _line(shown_text(dataset, index))
    if dataset.kind == "vector":
        values = dataset.normalise(sample[None])[0]
        strip = np.clip((values + 2.0) * (255.0 / 4.0), 0, 255).astype(np.uint8)[None, :256]
        image = Image.fromarray(strip).resize((max(_MAX_CELL, strip.shape[1]), 16), Image.Resampling.NEAREST)
        return np.asarray(image.convert("RGB"))
    planes = sample if len(sample) == 3 else np.repeat(sample[:1], 3, axis=0)
    image = Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))
    side = max(image.size)
    scale = max(1, _MIN_CELL // side) if side < _MIN_CELL else min(1.0, _MAX_CELL / side)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR
    return np.asarray(image.resize(size, method))


def _line(text: str) -> np.ndarray:
    """uint8 (height, width, 3) of the beginning of a text on one line, control characters as spaces."""
    image = Image.new("RGB", (_LINE_WIDTH, _LINE_HEIGHT), "white")
    shown = "".join(character if character.isprintable() else " " for character in text[:_LINE_CHARACTERS])
    ImageDraw.Draw(image).text((4, 2), shown, fill="black", font=ImageFont.load_default(size=13))
    return np.asarray(image)
