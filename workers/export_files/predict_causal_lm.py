"""Continues a text with the network in this folder: python predict.py TEXT [--tokens N] [--temperature T] [--seed S]

Needs torch and safetensors.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from model import Model
from safetensors.torch import load_file
from tokenizer import PAD, SPECIALS, Tokenizer

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


def continue_text(model: Model, text: str, num_tokens: int, temperature: float, seed: int) -> str:
    """The text with `num_tokens` more tokens; temperature 0 takes the most likely token each time."""
    generator = torch.Generator().manual_seed(seed)
    encoder = Tokenizer(**{**PREPROCESS["tokenizer"], "length": sys.maxsize})
    ids = encoder.encode(text)
    if not ids:
        raise SystemExit("give at least one token to begin with")
    length, first = TOKENIZER.length, len(SPECIALS)
    for _ in range(num_tokens):
        window = ids[-length:]
        # No position sees later ones, so padding behind the text changes nothing.
        x = torch.tensor([window + [PAD] * (length - len(window))])
        with torch.inference_mode():
            logits = model(x)[0, len(window) - 1, first:]
        if temperature > 0:
            ids.append(first + int(torch.multinomial((logits / temperature).softmax(dim=0), 1, generator=generator)))
        else:
            ids.append(first + int(logits.argmax()))
    return TOKENIZER.decode(ids)


def main() -> None:
    """Print the text and its continuation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("--tokens", type=int, default=100, help="number of tokens to add (default 100)")
    parser.add_argument("--temperature", type=float, default=0.8, help="0 for the most likely tokens (default 0.8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (default 0)")
    options = parser.parse_args()
    text = continue_text(load_model(), options.text, options.tokens, options.temperature, options.seed)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
