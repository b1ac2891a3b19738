"""Block kinds of an installed package: found by entry points, in documents, costs, networks and supernets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = '''
from search_spaces.blocks.arithmetic import OUT, Tally, image
from search_spaces.blocks.base import Block
from search_spaces.shapes import ImageShape


class Mixer(Block):
    """A 1x1 convolution with bias."""

    kind = "pointwise_mixer"
    help = "1x1 convolution with bias."
    params = (OUT,)

    def out_shape(self, inputs, p):
        x = image(inputs, self.kind)
        return ImageShape(p["out"], x.height, x.width)

    def cost(self, inputs, p):
        x = image(inputs, self.kind)
        tally = Tally(inputs)
        tally.conv(x.channels, p["out"], 1, x.height, x.width, bias=1)
        return tally.cost()


MIXER = Mixer()
'''
MODULE = """
import torch
from torch import nn

from search_spaces.elastic.spec import ModuleSpec

MIXER = ModuleSpec(
    nn.Conv2d,
    lambda shapes, p: {"in_channels": shapes[0].channels, "out_channels": p["out"], "kernel_size": 1},
)
"""
NO_TORCH = """
import sys

from search_spaces.space import SearchSpace

document = {
    "language_version": 1,
    "name": "plugged",
    "task": {"kind": "image_classification", "classes": 4},
    "input": {"channels": 3, "resolution": 8},
    "network": [
        {"block": "pointwise_mixer", "out": {"one_of": [4, 8]}},
        {"block": "image_head", "out": "=classes"},
    ],
}
space = SearchSpace.from_document(document)
assert space.cardinality == 2
assert "torch" not in sys.modules
"""
WITH_TORCH = (
    NO_TORCH
    + """
import torch

from search_spaces.elastic.codegen import plain_source
from search_spaces.elastic.supernet import Supernet

supernet = Supernet(space).eval()
x = torch.randn(2, 3, 8, 8)
for genes in space.enumerate():
    plain = supernet.extract(genes)
    with supernet.active(genes), torch.no_grad():
        assert torch.equal(supernet(x), plain(x))
    assert sum(p.numel() for p in plain.parameters()) == int(space.costs(genes[None])["params"][0])
assert "Conv2d" in plain_source(space.resolve(genes))
"""
)


def install(folder: Path, entries: str, block: str = BLOCK) -> None:
    """A package as an installer leaves it: its files and its dist-info."""
    package = folder / "mixer_blocks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "block.py").write_text(block)
    (package / "module.py").write_text(MODULE)
    info = folder / "mixer_blocks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mixer-blocks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    (info / "RECORD").write_text("")


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), os.getcwd()])
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=120
    )


BOTH = (
    "[nas.blocks]\npointwise_mixer = mixer_blocks.block:MIXER\n"
    "[nas.block_modules]\npointwise_mixer = mixer_blocks.module:MIXER\n"
)


def test_an_installed_block_is_used_like_any_other(tmp_path: Path) -> None:
    install(tmp_path, BOTH)
    done = python(tmp_path, WITH_TORCH)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("entries", "block", "code", "message"),
    [
        (BOTH, "raise RuntimeError('broken')", "import search_spaces.space", "cannot be imported: broken"),
        (BOTH, "MIXER = 3", "import search_spaces.space", "not an instance of Block"),
        (BOTH, BLOCK.replace("pointwise_mixer", "other"), "import search_spaces.space", "both names must agree"),
        (
            "[nas.blocks]\nadd = mixer_blocks.block:MIXER\n",
            BLOCK.replace("pointwise_mixer", "add"),
            "import search_spaces.space",
            "a name that another block has",
        ),
        (BOTH.split("[nas.block_modules]")[0], BLOCK, "import search_spaces.elastic.supernet", "no counterpart"),
    ],
)
def test_unusable_packages_are_named(tmp_path: Path, entries: str, block: str, code: str, message: str) -> None:
    install(tmp_path, entries, block)
    done = python(tmp_path, code)
    assert done.returncode != 0
    assert "mixer-blocks" in done.stderr
    assert message in done.stderr
