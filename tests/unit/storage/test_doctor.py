"""The doctor is content with a sound state and names each way of breaking it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
from sqlalchemy import text

from nas_service.domain.search import Budget, EvaluatorSpec, Finalists, MethodChoice, Objective, SearchSpec
from nas_service.ids import new_id
from nas_service.processes import Ledger
from nas_service.storage import events, installation, jobs
from nas_service.storage.doctor import CHECKS, REFERENCES, examine
from nas_service.storage.session import unit_of_work
from nas_service.storage.tables import ExportRow, FrontPointRow, SupernetRow, TrialRow
from tests.support.rows import add_search

pytestmark = pytest.mark.usefixtures("empty_tables")

SPEC = SearchSpec(
    name="s",
    space_id="spc_x",
    dataset_id="dat_x",
    objectives=(Objective("accuracy_top1", "maximize"), Objective("macs", "minimize")),
    evaluator=EvaluatorSpec("supernet", recipe=MethodChoice("sandwich")),
    strategy=MethodChoice("random"),
    budget=Budget(trials=10),
    finalists=Finalists(count=1),
)
# (accuracy, MACs) -> hypervolume against (0 accuracy, 20 MACs): 0.5 x 10, then + 0.3 x 2
TRIALS = [(0.5, 10, 5.0, 1), (0.8, 18, 5.6, 2)]


def run(engine, statement: str, **values) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def broken(engine, artifacts=None) -> set[str]:
    return {finding.check for finding in examine(engine, artifacts)}


@pytest.fixture
def search_id(engine) -> str:
    """A running search with two told trials and one open one, and a job of every outcome."""
    with unit_of_work(engine) as session:
        search_id = add_search(
            session,
            spec=SPEC.to_json(),
            num_asked=3,
            num_told=2,
            reference_point=[0.0, 20.0],
            hypervolume=TRIALS[-1][2],
            front_size=2,
        )
        for number, (accuracy, macs, volume, size) in enumerate(TRIALS):
            session.add(trial(search_id, number, state="succeeded", accuracy_top1=accuracy, loss=1.0, macs=macs))
            point = FrontPointRow(search_id=search_id, num_evaluations=number + 1, hypervolume=volume, front_size=size)
            session.add(point)
        session.add(trial(search_id, 2, state="pending"))
        session.flush()
        events.record(session, "search.created", {"name": "s"}, search_id)
        events.record(session, "search.state", {"state": "running"}, search_id)
        for done in session.scalars(text("SELECT id FROM trial WHERE number < 2")):
            events.record(session, "trial.finished", {"trial_id": done, "state": "succeeded"}, search_id)
        session.execute(text("UPDATE trial SET finished_at = now() WHERE state = 'succeeded'"))
        for key in "abcd":
            jobs.enqueue(session, kind="evaluate", dedup_key=key, payload={}, search_id=search_id)
    held = jobs.claim(engine, "me", limit=4, lease_s=60)
    with unit_of_work(engine) as session:
        jobs.finish(session, held[0].id, held[0].epoch, {})
        jobs.fail(session, held[1].id, held[1].epoch, "error", "broken", retry=False)
        jobs.release(session, held[2].id, held[2].epoch)
    assert examine(engine) == []
    return search_id


def trial(search_id: str, number: int, **columns) -> TrialRow:
    values = {"id": new_id("trial"), "stage": "search", "architecture_hash": f"arc_{number}", "genes": [number]}
    values |= {"evaluation_key": f"e{number}", "token": {}}
    if columns.get("state") == "succeeded":
        from nas_service.clock import utc_now

        values["finished_at"] = utc_now()
    return TrialRow(search_id=search_id, number=number, **values, **columns)


DAMAGE = {
    "lease_is_current": "UPDATE job SET lease_until = now() - interval '1 hour' WHERE state = 'running'",
    "running_job_has_one_attempt": "UPDATE attempt SET outcome = 'lost' WHERE outcome = 'running'",
    "open_attempt_has_its_claim": "UPDATE attempt SET outcome = 'running' WHERE outcome = 'failed'",
    "every_claim_left_an_attempt": "DELETE FROM attempt WHERE outcome = 'failed'",
    "ended_job_says_when_and_how": "UPDATE job SET result = NULL WHERE state = 'succeeded'",
    "succeeded_job_has_one_succeeded_attempt": "UPDATE attempt SET outcome = 'lost' WHERE outcome = 'succeeded'",
    "asked_trials_are_stored": "DELETE FROM trial WHERE number = 2",
    "told_trials_have_ended": "UPDATE trial SET state = 'running', finished_at = NULL WHERE number = 1",
    "ended_search_has_no_open_work": "UPDATE search SET state = 'cancelled', finished_at = now()",
    "ended_search_says_when_and_how": "UPDATE search SET finished_at = now()",
    "open_trial_will_go_on": """
        UPDATE job SET finished_at = now() - interval '5 min' WHERE state = 'failed';
        UPDATE trial SET job_id = (SELECT id FROM job WHERE state = 'failed') WHERE number = 2""",
    "reused_result_equals_its_source": """
        UPDATE trial SET reused_from = (SELECT id FROM trial WHERE number = 0) WHERE number = 1""",
    "hypervolume_never_falls": "UPDATE front_point SET hypervolume = 9 WHERE num_evaluations = 1",
    "curve_ends_at_the_search": "UPDATE front_point SET front_size = 1",
    "front_equals_its_trials": "UPDATE trial SET macs = 11 WHERE number = 0",
    "running_search_goes_on": """
        UPDATE search SET started_at = now() - interval '1 hour';
        UPDATE event SET created_at = now() - interval '1 hour';
        UPDATE job SET state = 'cancelled', error = '{}', lease_until = NULL,
          finished_at = now() - interval '1 hour'""",
    "accepted_search_is_stored": """
        INSERT INTO idempotency (principal, key, fingerprint, status, body)
        VALUES ('p', 'k', 'f', 201, '{"id": "srch_0123"}'), ('p', 'l', 'f', 422, '{"id": "srch_4567"}')""",
    "events_tell_the_state": "DELETE FROM event WHERE type = 'search.state'",
    "no_trial_ends_twice": """
        INSERT INTO event (search_id, type, data) SELECT search_id, type, data FROM event
        WHERE type = 'trial.finished'""",
    "ended_trials_are_told": "DELETE FROM event WHERE type = 'trial.finished'",
    "ready_things_have_their_content": """
        INSERT INTO export (id, search_id, trial_id, state)
        SELECT 'exp_1', search_id, id, 'ready' FROM trial LIMIT 1""",
}


def test_every_check_is_tried():
    assert set(DAMAGE) == {*CHECKS, "front_equals_its_trials"}


@pytest.mark.parametrize("check", DAMAGE)
def test_damage_is_found(engine, search_id, check):
    run(engine, DAMAGE[check])
    assert check in broken(engine)


def test_trials_that_are_told_in_chunks_are_counted(engine, search_id):
    run(engine, "DELETE FROM event WHERE type = 'trial.finished'")
    chunk = "INSERT INTO event (search_id, type, data) VALUES (:search_id, 'trials.finished', :data)"
    run(engine, chunk, search_id=search_id, data=json.dumps({"first": 0, "count": 2}))
    assert broken(engine) == {"ended_trials_are_told"}
    run(engine, chunk, search_id=search_id, data=json.dumps({"first": 2, "count": 1}))
    assert broken(engine) == set()
    run(engine, chunk, search_id=search_id, data=json.dumps({"first": 2, "count": 1}))
    assert broken(engine) == {"ended_trials_are_told"}


def test_a_restored_front_of_nothing_is_sound(engine, search_id):
    run(engine, "DELETE FROM trial; DELETE FROM front_point")
    run(engine, "UPDATE search SET num_asked = 0, num_told = 0, hypervolume = 0, front_size = 0")
    assert examine(engine) == []


@pytest.fixture
def artifacts(engine, search_id, tmp_path):
    """An artifact directory with the marker, a data set, a checkpoint and an export, as the rows say."""

    def put(name: str, content: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return hashlib.sha256(content.encode()).hexdigest()

    weights = put("supernets/s/1/model.safetensors", "weights")
    manifest = put("supernets/s/1/manifest.json", json.dumps({"files": {"model.safetensors": {"sha256": weights}}}))
    exported = put("exports/e/1/model.py", "code")
    put("datasets/f/dataset.json", "{}")
    with unit_of_work(engine) as session:
        installation.mark_artifacts(installation.ensure(session), tmp_path)
        space_id, dataset_id, trial_id = session.execute(
            text("SELECT s.space_id, s.dataset_id, t.id FROM search s JOIN trial t ON t.search_id = s.id LIMIT 1")
        ).one()
        checkpoint = {"path": "supernets/s/1", "step": 1, "sha256": manifest}
        row = {"definition_key": "d", "space_id": space_id, "dataset_id": dataset_id, "recipe": {}, "seed": 0}
        session.add(SupernetRow(id=new_id("supernet"), state="ready", checkpoint=checkpoint, **row))
        files = [{"name": "model.py", "size_bytes": 4, "sha256": exported}]
        export = {"path": "exports/e/1", "files": files, "state": "ready"}
        session.add(ExportRow(id=new_id("export"), search_id=search_id, trial_id=trial_id, **export))
    assert examine(engine, tmp_path) == []
    return tmp_path


@pytest.mark.parametrize(
    ("check", "name", "content"),
    [
        ("artifacts_belong_here", installation.MARKER, "other"),
        ("artifacts_belong_here", installation.MARKER, None),
        ("dataset_is_there", "datasets/f/dataset.json", None),
        ("checkpoint_is_whole", "supernets/s/1/model.safetensors", "weighty"),
        ("checkpoint_is_whole", "supernets/s/1/model.safetensors", None),
        ("checkpoint_is_whole", "supernets/s/1/manifest.json", "{}"),
        ("export_is_whole", "exports/e/1/model.py", "cod"),
    ],
)
def test_damaged_files_are_found(engine, artifacts, check, name, content):
    if content is None:
        (artifacts / name).unlink()
    else:
        (artifacts / name).write_text(content)
    assert broken(engine, artifacts) == {check}


def test_old_unfinished_files_are_found(engine, artifacts):
    unfinished = artifacts / "supernets" / "s" / "2.tmp"
    unfinished.mkdir()
    assert broken(engine, artifacts) == set()
    os.utime(unfinished, (0, 0))
    assert broken(engine, artifacts) == {"no_leftovers"}


@pytest.mark.parametrize("kind", REFERENCES)
def test_what_no_row_refers_to_is_found_when_it_is_old(engine, artifacts, kind):
    lost = artifacts / kind / "lost"
    lost.mkdir(parents=True)
    assert broken(engine, artifacts) == set()  # a row may still come
    os.utime(lost, (0, 0))
    assert [(f.check, f.subject) for f in examine(engine, artifacts)] == [("no_unreferenced_artifacts", f"{kind}/lost")]


def test_what_a_row_refers_to_may_be_old(engine, artifacts):
    with engine.connect() as connection:
        supernet_id = connection.execute(text("SELECT id FROM supernet")).scalar_one()
    for name in ("datasets/f", f"supernets/{supernet_id}"):
        (artifacts / name).mkdir(exist_ok=True)
        os.utime(artifacts / name, (0, 0))
    assert examine(engine, artifacts) == []


def test_a_checkpoint_of_a_finalist_is_checked(engine, artifacts):
    run(
        engine,
        "UPDATE trial SET metrics = jsonb_build_object('checkpoint', (SELECT checkpoint FROM supernet)) "
        "WHERE number = 0",
    )
    assert examine(engine, artifacts) == []
    (artifacts / "supernets/s/1/model.safetensors").unlink()
    assert len(examine(engine, artifacts)) == 2


def test_processes_of_a_dead_part_are_found(engine, search_id, tmp_path):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        Ledger(tmp_path, "dispatcher").note([sleeper.pid])
        assert examine(engine, processes=tmp_path) == []
        (path,) = tmp_path.glob("*.json")
        document = json.loads(path.read_text())
        document["owner"]["started"] -= 100.0  # the owner of that id is another process now
        path.write_text(json.dumps(document))
        (finding,) = examine(engine, processes=tmp_path)
        assert (finding.check, finding.subject) == ("no_stray_processes", str(sleeper.pid))
    finally:
        sleeper.kill()
        sleeper.wait()
    assert examine(engine, processes=tmp_path) == []


def test_a_path_that_leaves_the_directory_is_not_followed(engine, artifacts):
    run(engine, """UPDATE supernet SET checkpoint = '{"path": "../..", "sha256": "0"}'""")
    assert broken(engine, artifacts) == {"checkpoint_is_whole"}
