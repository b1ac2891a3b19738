"""What a large job needed goes back to the system; what many small ones need is kept for the next."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from workers.context import WorkContext
from workers.execute import execute
from workers.marker import FILE_NAME
from workers.training.environment import give_back_memory, keep_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def freed_between_others() -> list[torch.Tensor]:
    """Frees 600 MiB of which little lies at the end; returns what lies between."""
    pairs = [(torch.ones(30 << 18), torch.ones(1 << 18)) for _ in range(20)]
    return [small for _, small in pairs]


def test_memory_goes_back_after_a_job_that_is_not_one_of_many(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("m")
    keep_memory()
    give_back_memory()
    before = resident_mib()
    kept = freed_between_others()
    assert "error" in execute("evaluate", {}, WorkContext(tmp_path), "m")
    assert resident_mib() > before + 400
    assert "error" in execute("train_supernet", {}, WorkContext(tmp_path), "m")
    assert resident_mib() < before + 200
    assert len(kept) == 20
