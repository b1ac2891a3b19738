"""Classifies images with the network in this folder: python predict.py IMAGE [IMAGE ...] [--top N]

Needs torch, safetensors, pillow and numpy.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from model import Model
from PIL import Image, ImageOps
from safetensors.torch import load_file

FOLDER = Path(__file__).resolve().parent
PREPROCESS = json.loads((FOLDER / "preprocess.json").read_text(encoding="utf-8"))
CLASSES = json.loads((FOLDER / "classes.json").read_text(encoding="utf-8"))


def load_model() -> Model:
    """The network with its trained weights, ready for inference."""
    model = Model()
    model.load_state_dict(load_file(FOLDER / "model.safetensors"))
    return model.eval()


def read_image(path: str) -> np.ndarray:
    """An image file as uint8 (channels, height, width): upright, on white, in colours and size of the training data."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode in ("I;16", "I", "F"):
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode != "F" else max(1.0, float(values.max(initial=1.0)))
        image = Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    image = image.convert("L" if PREPROCESS["channels"] == 1 else "RGB")
    size = (PREPROCESS["width"], PREPROCESS["height"])
    if image.size != size:
        if PREPROCESS["fit"] == "crop":
            image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
        elif PREPROCESS["fit"] == "pad":
            image = ImageOps.pad(image, size, Image.Resampling.BILINEAR)
        else:
            image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.array(image, dtype=np.uint8)  # a copy: torch wants to be able to write to it
    return pixels[None] if PREPROCESS["channels"] == 1 else pixels.transpose(2, 0, 1)


def to_input(images: np.ndarray) -> torch.Tensor:
    """uint8 images (n, channels, height, width) as the network's normalised float32 input."""
    mean = torch.tensor(PREPROCESS["mean"]).reshape(1, -1, 1, 1)
    std = torch.tensor(PREPROCESS["std"]).reshape(1, -1, 1, 1)
    x = (torch.from_numpy(np.ascontiguousarray(images)).float() / PREPROCESS["divide_by"] - mean) / std
    size = (PREPROCESS["network_height"], PREPROCESS["network_width"])
    if x.shape[-2:] != size:
        x = torch.nn.functional.interpolate(x, size, mode="bicubic", align_corners=False)
    return x


def main() -> None:
    """Print the most likely classes of each image with their probabilities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--top", type=int, default=1, help="number of classes to print (default 1)")
    options = parser.parse_args()
    model = load_model()
    for path in options.images:
        try:
            image = read_image(path)
        except OSError as error:
            sys.exit(f"{path}: {error}")
        with torch.inference_mode():
            probabilities = model(to_input(image[None])).softmax(dim=1)[0]
        best = probabilities.topk(max(1, min(options.top, len(CLASSES))))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        sys.stdout.write(f"{path}: " + ", ".join(f"{CLASSES[i]} {p:.4f}" for i, p in pairs) + "\n")


if __name__ == "__main__":
    main()
