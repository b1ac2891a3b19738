"""`nas space` on documents: notes and lines, members by number, drawings, the blocks of the language."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from nas_service.cli.space import app
from search_spaces.blocks.registry import BLOCKS
from search_spaces.library_index import load_library
from tests.unit.cli.test_space_commands import nas

DOCUMENT = """language_version: 1
name: noted
task: {kind: image_classification, classes: 3}
input: {channels: 3, resolution: 8}
let: {spare1: {one_of: [1, 2]}, spare2: {one_of: [1, 2]}}
network:
  - {block: conv_bn_act, out: 8, kernel: 3}
  - {block: image_head, out: "=classes"}
"""


def test_lint_notes_what_has_no_effect_and_gives_the_lines_of_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(DOCUMENT)
    done = nas("space", "lint", str(path))
    assert done.returncode == 0
    assert "note: " in done.stdout
    assert done.stdout.count("spare") == 1
    assert "'spare*'" in done.stdout
    assert "(2 times)" in done.stdout
    path.write_text(DOCUMENT.replace("kernel: 3", "kernel: 6"))
    wrong = nas("space", "lint", str(path))
    assert wrong.returncode == 2
    assert "line 7, /network/0/kernel" in wrong.stderr


def test_a_member_is_drawn_by_its_number() -> None:
    space = load_library("digits-mobile")
    network = space.resolve(space.unrank([5])[0])
    drawn = nas("space", "show", "digits-mobile", "--index", "5", "--dot")
    assert drawn.stdout.startswith("digraph network {")
    assert drawn.stdout.count("->") == sum(len(node.inputs) for node in network.nodes)
    beyond = nas("space", "show", "digits-mobile", "--index", str(space.cardinality))
    assert beyond.returncode == 2
    assert str(space.cardinality - 1) in beyond.stderr


def test_choices_that_are_alike_stand_together_and_blocks_are_limited() -> None:
    shown = CliRunner().invoke(app, ["show", "mobilenetv3-ofa"])
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "name mobilenetv3-ofa"
    assert f"architectures {load_library('mobilenetv3-ofa').cardinality}" in lines
    assert "stage*.layer*.kernel 20 3, 5, 7 True" in lines
    assert any(line.startswith("resolution 1 128, 132,") for line in lines)
    assert "stage0.layer*.mbconv 3 mbconv out=24 activation=relu 24x56x56" in lines
    assert len(lines) < 70
    every = CliRunner().invoke(app, ["show", "mobilenetv3-ofa", "--all"])
    assert "stage4.layer3.kernel" in every.stdout
    assert "kernel_transform=" in every.stdout
    long = CliRunner().invoke(app, ["show", "darts-cell"])
    assert "more blocks: --all" in long.stdout


def test_blocks_are_listed_with_their_parameters() -> None:
    listed = nas("space", "blocks")
    assert all(kind[:8] in listed.stdout for kind in BLOCKS)
    one = nas("space", "blocks", "pool").stdout
    assert "one of avg, max" in one
    assert "one of 1, 2, 3, 5, 7" in one
    unknown = nas("space", "blocks", "mbkonv")
    assert unknown.returncode == 2
    assert "mbconv" in unknown.stderr
