"""Turns encoded images into arrays of one size: safe opening, orientation, colour mode, resize."""

import io
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.limits import MAX_IMAGE_FILE_BYTES, MAX_IMAGE_PIXELS, MAX_SIDE

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})
_GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "F"})

Fit = Literal["crop", "stretch", "pad"]


class ImageError(ValueError):
    """One image that cannot be used; the message says why."""


@dataclass(frozen=True)
class ImageForm:
    """The one form all images of a data set get.

    fit: "crop" scales so that the image covers the size and cuts the centre, "pad" scales it into the size on black,
    "stretch" ignores its proportions. channels: 1 (grey) or 3 (RGB). Scaling is bilinear with antialiasing.
    """

    height: int
    width: int
    channels: int
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if not 1 <= self.height <= MAX_SIDE or not 1 <= self.width <= MAX_SIDE:
            raise DatasetError("size", f"{self.height} x {self.width}", f"1 to {MAX_SIDE} pixels a side")
        if self.channels not in (1, 3):
            raise DatasetError("channels", str(self.channels), "1 (grey) or 3 (RGB)")
        if self.fit not in ("crop", "stretch", "pad"):
            raise DatasetError("fit", repr(self.fit), "crop, stretch or pad")

    def as_json(self) -> dict[str, Any]:
        """What an exported network needs to treat a new image alike."""
        return {"fit": self.fit, "resample": "bilinear"}


def open_image(data: bytes) -> Image.Image:
    """The first frame of an encoded image, turned upright; ImageError when damaged, too large or of no known format."""
    if len(data) > MAX_IMAGE_FILE_BYTES:
        raise ImageError(f"file of {len(data)} bytes, at most {MAX_IMAGE_FILE_BYTES}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > MAX_IMAGE_PIXELS:
            raise ImageError(f"{width} x {height} pixels, at most {MAX_IMAGE_PIXELS // 10**6} million")
        image.load()
        return ImageOps.exif_transpose(image)
    except ImageError:
        raise
    except Exception as error:  # decoders raise many kinds on damaged input; every one means "not usable"
        raise ImageError(f"cannot be decoded: {error or type(error).__name__}") from error


def is_grey(image: Image.Image) -> bool:
    """Whether the image has no colour of its own."""
    return image.mode in _GREY_MODES


def to_array(image: Image.Image, form: ImageForm) -> np.ndarray:
    """uint8 (C, H, W). Transparent pixels are laid on white; 16-bit grey is scaled to 8 bits."""
    if image.mode in ("I;16", "I", "F"):
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode != "F" else max(1.0, float(values.max(initial=1.0)))
        image = Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    image = image.convert("L" if form.channels == 1 else "RGB")
    size = (form.width, form.height)
    if image.size != size:
        if form.fit == "crop":
            image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
        elif form.fit == "pad":
            image = ImageOps.pad(image, size, Image.Resampling.BILINEAR)
        else:
            image = image.resize(size, Image.Resampling.BILINEAR)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if form.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
