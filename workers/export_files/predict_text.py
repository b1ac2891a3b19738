"""Classifies texts with the network in this folder: python predict.py TEXT [TEXT ...] [--top N]

"-" reads one text a line from standard input. Needs torch and safetensors.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from model import Model
from safetensors.torch import load_file
from tokenizer import Tokenizer

FOLDER = Path(__file__).resolve().parent
PREPROCESS = json.loads((FOLDER / "preprocess.json").read_text(encoding="utf-8"))
TOKENIZER = Tokenizer(**PREPROCESS["tokenizer"])
CLASSES = json.loads((FOLDER / "classes.json").read_text(encoding="utf-8"))


def load_model() -> Model:
    """The network with its trained weights, ready for inference."""
    model = Model()
    model.load_state_dict(load_file(FOLDER / "model.safetensors"))
    return model.eval()


def to_input(texts: list[str]) -> torch.Tensor:
    """Token ids (n, length) of texts, cut or padded."""
    return torch.tensor([TOKENIZER.pad(TOKENIZER.encode(text)) for text in texts])


def main() -> None:
    """Print the most likely classes of each text with their probabilities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="+", metavar="TEXT")
    parser.add_argument("--top", type=int, default=1, help="number of classes to print (default 1)")
    options = parser.parse_args()
    texts = [line.rstrip("\n") for line in sys.stdin] if options.texts == ["-"] else options.texts
    model = load_model()
    for text in texts:
        with torch.inference_mode():
            probabilities = model(to_input([text])).softmax(dim=1)[0]
        best = probabilities.topk(max(1, min(options.top, len(CLASSES))))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        sys.stdout.write(", ".join(f"{CLASSES[i]} {p:.4f}" for i, p in pairs) + "\n")


if __name__ == "__main__":
    main()
