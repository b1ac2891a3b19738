"""What the README shows of REST and of the Python client, executed as it stands there."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nas_service.control.reconcile import Reconciler
from tests.support import api, searches

ROOT = Path(__file__).parents[2]
CONTENT = b"weights of a network" * 1000


class Worker(searches.FormulaWorker):
    """Exports are one real file."""

    home = Path()

    def _export(self, payload):
        path = f"exports/{payload['export_id']}/1"
        folder = self.home / "artifacts" / path
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(CONTENT)
        digest = hashlib.sha256(CONTENT).hexdigest()
        file = {"name": "model.safetensors", "size_bytes": len(CONTENT), "sha256": digest}
        return {"files": [file], "path": path, "parity": {}}


@pytest.fixture(scope="module")
def environment(engine, database_url, tmp_path_factory):
    """Address and key of a service whose work is being done, as the README wants them set."""
    home = tmp_path_factory.mktemp("home")
    searches.install(engine)
    worker, stop = Worker(engine), threading.Event()
    worker.home = home
    reconciler = Reconciler(engine)

    def work() -> None:
        while not stop.wait(0.05):
            reconciler.reconcile()
            for claim in worker.claim():
                worker.do(claim)

    thread = threading.Thread(target=work)
    with api.served(api.app_on(database_url, home)) as url:
        thread.start()
        yield {**os.environ, "NAS_URL": url, "NAS_API_KEY": api.new_key(engine), "PYTHONPATH": str(ROOT)}
        stop.set()
        thread.join()


def shown(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return block


def test_rest_in_five_requests(environment, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: the requests of the README are not tested")
    command = ["bash", "-euo", "pipefail", "-c", shown("sh")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    assert (tmp_path / "model.safetensors").read_bytes() == CONTENT
    # Executed again: the key of the first request gives the same search, nothing is started.
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert again.returncode == 0, again.stdout + again.stderr


def test_the_python_example(environment, tmp_path):
    command = [sys.executable, "-c", shown("python")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "search.succeeded" in done.stdout
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == CONTENT
