"""Fills in masked tokens with the network in this folder: python predict.py "TEXT with [MASK]" [--top N]

Needs torch and safetensors.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from model import Model
from safetensors.torch import load_file
from tokenizer import MASK, SPECIALS, Tokenizer

FOLDER = Path(__file__).resolve().parent
PREPROCESS = json.loads((FOLDER / "preprocess.json").read_text(encoding="utf-8"))
TOKENIZER = Tokenizer(**PREPROCESS["tokenizer"])


def load_model() -> Model:
    """The network with its trained weights, ready for inference."""
    model = Model()
    model.load_state_dict(load_file(FOLDER / "model.safetensors"))
    return model.eval()


def to_input(texts: list[str]) -> torch.Tensor:
    """Token ids (n, length) of texts, cut or padded."""
    return torch.tensor([TOKENIZER.pad(TOKENIZER.encode(text)) for text in texts])


def main() -> None:
    """Print the most likely tokens for each mask with their probabilities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("--top", type=int, default=1, help="number of tokens to print (default 1)")
    options = parser.parse_args()
    x = to_input([options.text])
    places = (x[0] == MASK).nonzero().flatten().tolist()
    if not places:
        raise SystemExit(f"no {SPECIALS[MASK]} among the first {TOKENIZER.length} tokens of the text")
    with torch.inference_mode():
        logits = load_model()(x)[0, :, len(SPECIALS) :]
    for place in places:
        best = logits[place].softmax(dim=0).topk(max(1, min(options.top, len(TOKENIZER.tokens))))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        shown = ", ".join(f"{TOKENIZER.tokens[i]!r} {p:.4f}" for i, p in pairs)
        sys.stdout.write(f"token {place}: {shown}\n")


if __name__ == "__main__":
    main()
