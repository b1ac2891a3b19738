"""A backup of a service with a real, trained, exported search is restored elsewhere: same answers, clean doctor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from nas_service.cli import main as cli
from nas_service.cli.failures import guarded
from nas_service.control.exports import request_export
from nas_service.control.fronts import read_front
from nas_service.datasets.store import DatasetStore
from nas_service.domain.search import Budget, Finalists, MethodChoice
from nas_service.errors import Conflict, InvalidInput
from nas_service.storage import events, exports, installation, jobs, work
from nas_service.storage.backup import MANIFEST, back_up, restore
from nas_service.storage.doctor import examine
from nas_service.storage.session import make_engine, run_in_transaction, unit_of_work
from tests.integration.test_search_end_to_end import dispatch_until
from tests.support import api, postgres
from tests.support.searches import digits, install, search_of, start
from workers.dispatch import Dispatcher, Timing
from workers.local_pool import LocalPool

RECIPE = MethodChoice("sandwich", {"num_steps": 20, "num_random": 1, "curve_every_steps": 20})


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def service(engine, home) -> dict[str, str]:
    """A finished search with an export, and one whose job a worker holds at this moment; ids and a key."""
    artifacts = home / "artifacts"
    with unit_of_work(engine) as session:
        mark = installation.ensure(session)
        installation.mark_artifacts(mark, artifacts)
    DatasetStore(artifacts / "datasets").write(digits())
    spec = replace(install(engine), budget=Budget(trials=6), finalists=Finalists(count=2), parallelism=3)
    spec = replace(spec, evaluator=replace(spec.evaluator, recipe=RECIPE))
    search_id = start(engine, spec)
    pool = LocalPool(artifacts, mark.artifact_marker, num_slots=1)
    try:
        dispatcher = Dispatcher(engine, pool, Timing())
        dispatch_until(dispatcher, lambda: search_of(engine, search_id).state in ("succeeded", "failed"))
        assert search_of(engine, search_id).state == "succeeded"
        front = run_in_transaction(engine, lambda session: read_front(session, search_id, "final"))
        export = run_in_transaction(engine, lambda session: request_export(session, search_id, front.points[0].id))
        dispatch_until(
            dispatcher, lambda: run_in_transaction(engine, lambda s: exports.get(s, export.id)).state == "ready"
        )
        start(engine, replace(spec, seed=8))
        dispatcher.reconciler.reconcile()
    finally:
        pool.close()
    (held,) = jobs.claim(engine, "a worker", limit=1, lease_s=3600)
    return {"search": search_id, "export": export.id, "job": held.id, "key": api.new_key(engine)}


@pytest.fixture(scope="module")
def saved(engine, home, service, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "backup"
    summary = back_up(engine, home / "artifacts", folder)
    assert summary.files > 8
    assert summary.rows > 30
    return folder


@pytest.fixture
def empty(postgres_server):
    with postgres.database(postgres_server) as url:
        engine = make_engine(url)
        yield engine
        engine.dispose()


def answers(engine, home, service) -> dict[str, bytes]:
    client = api.client_of(api.app_on(engine.url.render_as_string(hide_password=False), home), service["key"])
    search, export = f"/v1/searches/{service['search']}", f"/v1/exports/{service['export']}"
    paths = [search, f"{search}/front", f"{search}/front?stage=search&at_evaluation=6", f"{search}/trials", export]
    paths += [f"{export}/files/model.safetensors", "/v1/datasets", "/v1/search-spaces"]
    found = {path: client.get(path) for path in paths}
    assert {answer.status_code for answer in found.values()} == {200}
    return {path: answer.content for path, answer in found.items()}


@pytest.mark.slow
def test_a_restored_service_gives_the_same_answers(engine, home, service, saved, empty, tmp_path):
    before = answers(engine, home, service)
    summary, findings = restore(empty, tmp_path / "artifacts", saved)
    assert findings == []
    manifest = json.loads((saved / MANIFEST).read_text())
    assert summary.rows == sum(table["rows"] for table in manifest["tables"])
    assert answers(empty, tmp_path, service) == before
    assert examine(engine, home / "artifacts") == []
    # What a worker of the old service held is due again, and a number is never given twice.
    with unit_of_work(empty) as session:
        assert work.get(session, service["job"]).state == "queued"
        last = events.last_seq(session)
        events.record(session, "test", {})
    with unit_of_work(empty) as session:
        assert events.last_seq(session) > last
    (claimed,) = jobs.claim(empty, "another worker", limit=1, lease_s=60)
    assert (claimed.id, claimed.epoch) == (service["job"], 2)
    with pytest.raises(Conflict, match="not empty"):
        restore(empty, tmp_path / "artifacts", saved)


@pytest.mark.slow
def test_the_commands(engine, database_url, home, service, empty, tmp_path, monkeypatch, capsys):
    def nas(*arguments: str) -> tuple[int, dict]:
        try:
            code = guarded(lambda: cli.app([*arguments, "-o", "json"]))
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, json.loads(told.out or "{}")

    monkeypatch.setenv("NAS_HOME", str(home))
    monkeypatch.setenv("NAS_DATABASE_URL", database_url)
    code, written = nas("backup", str(tmp_path / "backup"))
    assert (code, written["files"] > 8) == (0, True)
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "new"))
    monkeypatch.setenv("NAS_DATABASE_URL", empty.url.render_as_string(hide_password=False))
    code, brought = nas("restore", str(tmp_path / "backup"))
    assert (code, brought["findings"]) == (0, [])
    assert {name: brought[name] for name in written} == written
    assert nas("doctor") == (0, [])
    for path in (tmp_path / "new").rglob("*.safetensors"):
        path.unlink()
    code, findings = nas("doctor")
    assert (code, len(findings) > 0) == (1, True)
    assert nas("restore", str(tmp_path / "backup"))[0] == 6


@pytest.mark.slow
def test_a_damaged_backup_changes_nothing(saved, empty, tmp_path):
    manifest = json.loads((saved / MANIFEST).read_text())
    weights = (
        saved / "artifacts" / next(f["name"] for f in manifest["files"] if f["name"].endswith("model.safetensors"))
    )
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(InvalidInput, match=r"1 files are missing or changed: .*model\.safetensors"):
            restore(empty, tmp_path / "artifacts", saved)
    finally:
        weights.write_bytes(whole)
    rows = saved / "rows" / "trial.copy"
    whole = rows.read_bytes()
    try:
        rows.unlink()
        with pytest.raises(InvalidInput, match=r"rows/trial\.copy"):
            restore(empty, tmp_path / "artifacts", saved)
    finally:
        rows.write_bytes(whole)
    with empty.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar() == 0
    assert not (tmp_path / "artifacts").exists()
    with pytest.raises(InvalidInput, match="no backup"):
        restore(empty, tmp_path / "artifacts", tmp_path)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "something").touch()
    with pytest.raises(Conflict, match="is not empty: choose another NAS_HOME"):
        restore(empty, tmp_path / "artifacts", saved)


@pytest.mark.slow
def test_a_backup_that_would_be_incomplete_is_none(engine, home, service, tmp_path):
    (folder,) = (home / "artifacts" / "exports" / service["export"]).iterdir()
    (folder / "manifest.json").rename(folder / "elsewhere")
    try:
        with pytest.raises(Conflict, match=r"manifest\.json is missing"):
            back_up(engine, home / "artifacts", tmp_path / "backup")
    finally:
        (folder / "elsewhere").rename(folder / "manifest.json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(Conflict, match="not an empty folder"):
        back_up(engine, home / "artifacts", tmp_path / "used")
