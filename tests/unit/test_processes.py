"""Processes of dead parts are found by id and start, and ended; those of living parts and of other hosts are not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from nas_service.processes import Ledger, Noted, end_strays, strays

# A part that starts a child, which starts another; prints their ids once they are noted.
PART = """
import subprocess, sys, time
from pathlib import Path
from nas_service.processes import Ledger
sleeper = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);" \\
          " print(p.pid, flush=True); p.wait()"
child = subprocess.Popen([sys.executable, "-c", sleeper], stdout=subprocess.PIPE, text=True)
grandchild = child.stdout.readline().strip()
ledger = Ledger(Path(sys.argv[1]), "dispatcher")
ledger.note()
print(child.pid, grandchild, flush=True)
sys.stdin.readline()
ledger.close()
"""


@pytest.fixture
def part(tmp_path):
    command = [sys.executable, "-c", PART, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in process.stdout.readline().split()]
    yield process, pids
    for pid in (process.pid, *pids):
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
    process.wait()


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_what_a_killed_part_left_is_ended(part, tmp_path):
    process, pids = part
    assert strays(tmp_path) == []
    assert end_strays(tmp_path) == []  # the part lives
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert {stray.process.pid for stray in strays(tmp_path)} == set(pids)
    assert {stray.part for stray in strays(tmp_path)} == {"dispatcher"}
    assert {stray.process.pid for stray in end_strays(tmp_path)} == set(pids)
    assert not any(alive(pid) for pid in pids)
    assert strays(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_ends_properly_leaves_nothing(part, tmp_path):
    process, pids = part
    process.stdin.write("\n")
    process.stdin.flush()
    process.wait(timeout=30)
    assert not any(alive(pid) for pid in pids)
    assert list(tmp_path.iterdir()) == []


def test_another_process_with_the_same_id_is_spared(part, tmp_path):
    process, pids = part
    process.send_signal(signal.SIGKILL)
    process.wait()
    (path,) = tmp_path.glob("*.json")
    document = json.loads(path.read_text())
    for noted in document["processes"]:
        noted["started"] -= 100.0
    path.write_text(json.dumps(document))
    assert end_strays(tmp_path) == []
    assert all(alive(pid) for pid in pids)


def test_other_hosts_are_left_alone(part, tmp_path):
    process, pids = part
    process.send_signal(signal.SIGKILL)
    process.wait()
    (path,) = tmp_path.glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "another"}))
    assert end_strays(tmp_path) == []
    assert all(alive(pid) for pid in pids)
    assert path.exists()


def test_only_the_roots_and_what_is_below_them_are_noted(tmp_path):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    inside, outside = (subprocess.Popen(sleeper) for _ in range(2))
    try:
        ledger = Ledger(tmp_path, "up")
        ledger.note([inside.pid])
        (path,) = tmp_path.glob("*.json")
        assert [noted["pid"] for noted in json.loads(path.read_text())["processes"]] == [inside.pid]
        inside.kill()
        inside.wait()
        ledger.note([])
        assert json.loads(path.read_text())["processes"] == []
        assert Noted.of(psutil.Process(outside.pid)).alive() is not None
    finally:
        for process in (inside, outside):
            process.kill()
            process.wait()
