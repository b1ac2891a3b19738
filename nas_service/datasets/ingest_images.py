"""Reads a folder of images: one folder per class, optionally inside one folder per split."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.images import SUFFIXES, Fit, ImageError, ImageForm, is_grey, open_image, to_array
from nas_service.datasets.limits import MAX_IMAGE_FILE_BYTES, MAX_SAMPLES, check_bytes
from nas_service.datasets.raw import RawData, Skipped, encode_labels
from nas_service.datasets.splits import SPLIT_NAMES

MAX_SKIPPED = 20
_NUM_PROBED = 32


def ingest_image_folder(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    fit: Fit = "crop",
    max_skipped: int = MAX_SKIPPED,
) -> RawData:
    """Images under `path`, which holds one folder per class, or folders named by split (train, val, test, ...) that do.

    size: (height, width) of the result; by default the smallest height and width found, at most 224. channels: 1 or 3;
    by default 1 when all images are grey. Damaged files, bombs and links that lead outside are listed in `skipped`;
    more than `max_skipped` of them, an empty class folder or no class at all raise DatasetError.
    """
    root = Path(path).resolve()
    if not root.is_dir():
        raise DatasetError(str(path), "is no folder", "a folder with one folder of images for each class")
    found = _image_files(root)
    files = [file for file, _, _ in found]
    readers = [_reader_of(root, file) for file in files]
    names = [str(file.relative_to(root)) for file in files]
    form = choose_form(readers, size, channels, fit)
    x, kept, skipped = decode_all(readers, names, form, max_skipped)
    y, classes = encode_labels(str(path), np.array([found[i][1] for i in kept]))
    splits = np.array([found[i][2] for i in kept])
    return RawData(
        kind="image",
        x=x,
        y=y,
        classes=classes,
        source={"format": "image_folder", "num_files": len(files)},
        split_names=splits if (splits != "").any() else None,
        skipped=skipped,
        resize=form.as_json(),
    )


def _image_files(root: Path) -> list[tuple[Path, str, str]]:
    """(file, class, split or "") of every image file, sorted by path."""
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    by_split = bool(folders) and all(folder.name.lower() in SPLIT_NAMES for folder in folders)
    pairs = [(folder, "") for folder in folders]
    if by_split:
        pairs = [
            (inner, folder.name)
            for folder in folders
            for inner in sorted(folder.iterdir())
            if inner.is_dir() and not inner.name.startswith(".")
        ]
    found: list[tuple[Path, str, str]] = []
    for folder, split in pairs:
        own: list[Path] = []
        for where, _, names in os.walk(folder, followlinks=False):
            own += [Path(where, name) for name in names if Path(name).suffix.lower() in SUFFIXES]
        if not own:
            raise DatasetError(
                str(folder.relative_to(root)), "holds no image", f"files ending in {', '.join(sorted(SUFFIXES))}"
            )
        found += [(file, folder.name, split) for file in sorted(own)]
        if len(found) > MAX_SAMPLES:
            raise DatasetError(str(root), "holds too many files", f"at most {MAX_SAMPLES}")
    if not found:
        raise DatasetError(str(root), "holds no class folder", "one folder of images for each class")
    return found


def _reader_of(root: Path, file: Path) -> Callable[[], bytes]:
    return lambda: read_file_inside(root, file)


def read_file_inside(root: Path, file: Path) -> bytes:
    """Content of a file that lies, links resolved, under root; ImageError otherwise."""
    try:
        real = file.resolve(strict=True)
        if root not in real.parents:
            raise ImageError("lies outside the folder of the data set")
        if real.stat().st_size > MAX_IMAGE_FILE_BYTES or not real.is_file():
            raise ImageError(f"is no file of at most {MAX_IMAGE_FILE_BYTES} bytes")
        return real.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"cannot be read: {error}") from error


def choose_form(
    readers: Sequence[Callable[[], bytes]], size: tuple[int, int] | None, channels: int | None, fit: Fit
) -> ImageForm:
    """The common form of images whose size or channels are not prescribed, judged by a few of them across the whole."""
    if size is not None and channels is not None:
        return ImageForm(size[0], size[1], channels, fit)
    probes = []
    for i in np.unique(np.linspace(0, len(readers) - 1, _NUM_PROBED).round().astype(int)):
        try:
            probes.append(open_image(readers[int(i)]()))
        except ImageError:
            continue
    if not probes:
        raise DatasetError("images", "none of those looked at can be decoded", "PNG, JPEG, BMP, GIF, WebP, TIFF or PPM")
    if channels is None:
        channels = 1 if all(is_grey(image) for image in probes) else 3
    if size is None:
        size = (min(224, *(image.height for image in probes)), min(224, *(image.width for image in probes)))
    return ImageForm(size[0], size[1], channels, fit)


def decode_all(
    readers: Sequence[Callable[[], bytes]], names: Sequence[str], form: ImageForm, max_skipped: int
) -> tuple[np.ndarray, list[int], tuple[Skipped, ...]]:
    """(x uint8 (n, C, H, W), indices of the readers kept, what was skipped); DatasetError when too many were."""
    check_bytes("images", len(readers) * form.channels * form.height * form.width)
    x = np.empty((len(readers), form.channels, form.height, form.width), dtype=np.uint8)

    def decode(i: int) -> str | None:
        try:
            x[i] = to_array(open_image(readers[i]()), form)
        except ImageError as error:
            return str(error)
        return None

    # Decoders release the interpreter lock.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        problems = list(pool.map(decode, range(len(readers))))
    skipped = tuple(Skipped(names[i], problem) for i, problem in enumerate(problems) if problem is not None)
    if len(skipped) > max_skipped:
        listed = "; ".join(f"{s.where}: {s.what}" for s in skipped[:10])
        raise DatasetError(
            "images", f"{len(skipped)} cannot be used: {listed}", f"at most {max_skipped} damaged images"
        )
    kept = [i for i, problem in enumerate(problems) if problem is None]
    return (x if len(kept) == len(readers) else x[kept]), kept, skipped
