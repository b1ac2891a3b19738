"""Checkpoints are complete or absent, and damage is found."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from workers.context import WorkContext
from workers.training.checkpoint import (
    CheckpointError,
    newest,
    open_checkpoint,
    prune,
    step_name,
    sweep,
    verify,
    write_checkpoint,
)


def write(parent: Path, step: int, epoch: int = 1) -> Path:
    tensors = {"model": {"w": torch.full((8,), float(step))}}
    return write_checkpoint(parent, step_name(step, epoch), tensors, {"step": step, "epoch": epoch}).path


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, 7)
    found = newest(tmp_path)
    assert found is not None
    assert found.path == path
    assert found.state == {"step": 7, "epoch": 1}
    assert torch.equal(found.tensors("model")["w"], torch.full((8,), 7.0))
    assert open_checkpoint(path, found.sha256) == found


def test_moving_average_takes_the_place_of_weights(tmp_path: Path) -> None:
    model = {"w": torch.zeros(2), "running_mean": torch.ones(2)}
    checkpoint = write_checkpoint(tmp_path, step_name(1, 1), {"model": model, "ema": {"w": torch.ones(2) * 5}}, {})
    weights = checkpoint.weights()
    assert torch.equal(weights["w"], torch.ones(2) * 5)
    assert torch.equal(weights["running_mean"], torch.ones(2))


@pytest.mark.parametrize("file", ["model.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_damaged_newest_is_passed_over(tmp_path: Path, file: str, damage: str) -> None:
    good = write(tmp_path, 1)
    bad = write(tmp_path, 2) / file
    if damage == "flipped":
        flip_bit(bad)
    elif damage == "truncated":
        bad.write_bytes(bad.read_bytes()[:-3])
    else:
        bad.unlink()
    found = newest(tmp_path)
    assert found is not None
    assert found.path == good


def test_another_checkpoint_than_expected_is_refused(tmp_path: Path) -> None:
    first, second = write(tmp_path, 1), write(tmp_path, 2)
    with pytest.raises(CheckpointError, match="digest"):
        open_checkpoint(second, verify(first).sha256)


def test_manifest_names_no_file_elsewhere(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    manifest = json.loads((path / "manifest.json").read_text())
    (tmp_path / "secret").write_text("")
    manifest["files"]["../secret"] = {"sha256": hashlib.sha256().hexdigest(), "size_bytes": 0}
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"\.\./secret"):
        verify(path)


def test_keeps_the_newest_and_whatever_a_later_epoch_wrote(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        write(tmp_path, step, epoch=2 if step == 1 else 1)
    prune(tmp_path, keep=3, epoch=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [step_name(1, 2), *(step_name(s, 1) for s in (3, 4, 5))]
    prune(tmp_path, keep=3, epoch=2)
    assert len(list(tmp_path.iterdir())) == 3


def test_same_name_again_keeps_the_good_and_replaces_the_damaged(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    before = (path / "manifest.json").stat().st_ino
    assert (write(tmp_path, 1) / "manifest.json").stat().st_ino == before
    flip_bit(path / "model.safetensors")
    write(tmp_path, 1)
    verify(path)


def test_sweep_leaves_later_writers_alone(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        (tmp_path / f"{step_name(9, epoch)}.tmp").mkdir()
    sweep(tmp_path, epoch=2)
    assert [path.name for path in tmp_path.iterdir()] == [f"{step_name(9, 3)}.tmp"]


WRITER = """
import sys, torch
from pathlib import Path
from workers.training.checkpoint import step_name, write_checkpoint
tensors = {"model": {f"w{i}": torch.zeros(50_000) for i in range(20)}}
for step in range(1, 10_000):
    write_checkpoint(Path(sys.argv[1]), step_name(step, 1), tensors, {"step": step, "epoch": 1})
"""


def test_kill_during_a_save_leaves_only_whole_checkpoints(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
    try:
        deadline = time.monotonic() + 60
        # Wait until at least one is complete, then strike while another is half written.
        while not (list(tmp_path.glob("step-*.1")) and list(tmp_path.glob("*.tmp"))):
            assert time.monotonic() < deadline
            assert writer.poll() is None
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    whole = sorted(tmp_path.glob("step-*.1"))
    for path in whole:
        verify(path)
    sweep(tmp_path, epoch=1)
    found = newest(tmp_path)
    assert found is not None
    assert found.path == whole[-1]
    assert sorted(tmp_path.iterdir()) == whole


def test_context_refuses_paths_that_leave_the_artifacts(tmp_path: Path) -> None:
    context = WorkContext(artifacts=tmp_path)
    assert context.resolve("supernets/a") == tmp_path / "supernets" / "a"
    for path in ("../outside", "/etc/passwd", "a/../../b"):
        with pytest.raises(ValueError, match="leaves"):
            context.resolve(path)
