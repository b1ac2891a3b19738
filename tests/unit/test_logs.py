"""Log lines are JSON objects that say what they are about, also those of workers."""

from __future__ import annotations

import io
import json
import logging

import pytest

from nas_service import logs
from workers.context import WorkContext
from workers.execute import execute


@pytest.fixture
def stream():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    logs.configure(stream=out)
    yield out
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)


def lines(stream) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_time_level_message_and_ids(stream):
    log = logging.getLogger("workers.test")
    with logs.about(search_id="srch_1", job_id="job_1", trial_id=None):
        with logs.about(epoch=2):
            log.warning("late by %d s", 3)
        log.info("two\nlines")
    log.debug("not written")
    first, second = lines(stream)
    assert first == first | {
        "level": "warning",
        "logger": "workers.test",
        "message": "late by 3 s",
        "search_id": "srch_1",
        "job_id": "job_1",
        "epoch": 2,
    }
    assert first["time"].endswith("+00:00")
    assert "trial_id" not in first
    assert "epoch" not in second
    assert second["message"] == "two\nlines"


def test_what_was_raised_is_part_of_the_line(stream):
    try:
        raise ValueError("because")
    except ValueError:
        logging.getLogger("workers").exception("it failed")
    (line,) = lines(stream)
    assert "ValueError: because" in line["error"]


def test_unknown_ids_are_refused():
    with pytest.raises(ValueError, match="serch_id"), logs.about(serch_id="srch_1"):
        pass


def test_entries_of_another_process_keep_their_facts(stream):
    entry = {"time": "2026-01-01T00:00:00+00:00", "level": "error", "logger": "workers.far", "message": "%s", "pid": 7}
    with logs.about(job_id="job_9"):
        logs.pass_on({**entry, "error": "Traceback"})
    (line,) = lines(stream)
    assert line == {**entry, "error": "Traceback", "job_id": "job_9"}


def test_a_job_logs_through_its_reports(stream, tmp_path):
    reports = []
    payload = {"epoch": 4, "network_id": "trl_1"}
    outcome = execute("train_network", payload, WorkContext(artifacts=tmp_path, report=reports.append), marker="m")
    assert outcome["error"]["reason"] == "error"
    (report,) = reports
    assert report == report | {
        "type": "log",
        "level": "warning",
        "trial_id": "trl_1",
        "epoch": 4,
        "kind": "train_network",
    }
    assert "WrongArtifactsError" in report["error"]
    assert lines(stream) == []  # it is the dispatcher who writes it
    logging.getLogger("workers").info("afterwards")
    assert len(lines(stream)) == 1
