"""Schemathesis against the served API on a real database: every check, every phase, on every operation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas_service.api import openapi
from nas_service.api.openapi import COMMITTED
from nas_service.app import build_api
from nas_service.control.exports import request_export
from nas_service.datasets.store import DATASETS_FOLDER, DatasetStore
from nas_service.storage import exports
from nas_service.storage.session import run_in_transaction, unit_of_work
from tests.support import api, searches

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
PHASES = ("Examples", "Coverage", "Fuzzing", "Stateful")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    DatasetStore(home / "artifacts" / DATASETS_FOLDER).write(searches.digits())
    return home


@pytest.fixture(scope="module")
def known(engine, home) -> dict[str, list[str]]:
    """Ids that exist, by path parameter: a finished search, its finalists, a downloadable export."""
    search_id = searches.start(engine, searches.install(engine))
    searches.work_off(engine, search_id)
    found = [*searches.trials_of(engine, search_id)[:3], *searches.trials_of(engine, search_id, "final")]
    export = run_in_transaction(engine, lambda session: request_export(session, search_id, found[-1].id))
    folder = home / "artifacts" / "exports" / export.id
    folder.mkdir(parents=True)
    (folder / "model.py").write_bytes(b"# a model\n" * 100)
    file = {"name": "model.py", "size_bytes": 1000, "sha256": "ab" * 32}
    with unit_of_work(engine) as session:
        exports.set_ready(session, export.id, path=f"exports/{export.id}", files=[file], parity={})
    return {
        "search_id": [search_id],
        "trial_id": [trial.id for trial in found],
        "architecture_hash": [trial.architecture_hash for trial in found],
        "export_id": [export.id],
        "name": ["model.py"],
    }


@pytest.fixture(scope="module")
def server(engine, database_url, home, known):
    with api.served(api.patient_app_on(database_url, home)) as url:
        yield url


@pytest.mark.slow
def test_no_operation_breaks_its_contract(server, engine, known, tmp_path):
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.read_text() + in_toml(known))
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)]
    command += ["run", f"{server}/v1/openapi.json", "-H", f"Authorization: Bearer {api.new_key(engine)}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "160"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
    report = done.stdout[-20_000:]
    assert done.returncode == 0, report + done.stderr[-2000:]
    operations = sum(len(path) for path in build_api().openapi()["paths"].values())
    assert re.search(rf"Selected: {operations}/{operations}\n\s*Tested: {operations}\n", report), report
    for phase in PHASES:
        assert f"✅ {phase}" in report, report


def in_toml(known: dict[str, list[str]]) -> str:
    """Half of the generated path parameters are ids that exist."""
    text = ""
    for name, values in known.items():
        text += f"\n[dictionaries.{name}]\nvalues = {values}\n"
    text += "\n[parameters]\n"
    for name in known:
        text += f'"path.{name}" = {{ dictionary = "{name}", probability = 0.5 }}\n'
    return text


def test_the_document_served_is_the_committed_one(server, engine):
    import httpx

    headers = {"Authorization": f"Bearer {api.new_key(engine)}"}
    served = httpx.get(f"{server}/v1/openapi.json", headers=headers, timeout=10)
    assert openapi.in_text(served.json()) == COMMITTED.read_text(encoding="utf-8")
    again = httpx.get(f"{server}/v1/openapi.json", headers={**headers, "If-None-Match": served.headers["etag"]})
    assert again.status_code == 304
