"""The `nas` command against the served API: JSON on standard output alone, exit codes, waiting, detaching."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import yaml
from sqlalchemy import update

from nas_service.cli import main as cli
from nas_service.cli.failures import guarded
from nas_service.storage import searches as stored
from nas_service.storage.session import unit_of_work
from nas_service.storage.tables import SupernetRow
from tests.support import api, searches

ACCURATE = ("search", "create", "--objective", "accuracy_top1")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(engine, database_url, home):
    searches.install(engine)
    with api.served(api.app_on(database_url, home)) as url:
        yield url


@pytest.fixture
def nas(url, engine, database_url, home, monkeypatch, capsys):
    """Runs a command; (exit code, standard output, standard error)."""
    for name, value in (("NAS_URL", url), ("NAS_API_KEY", api.new_key(engine)), ("NAS_HOME", str(home))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NAS_DATABASE_URL", database_url)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = guarded(lambda: cli.app(list(arguments)))
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_every_command_speaks_json(nas, engine, tmp_path):
    code, out, err = nas("search", "create", "--trials", "6", "--finalists", "2", "--name", "by hand", "-o", "json")
    assert (code, err) == (0, "")
    search = json.loads(out)
    assert (search["name"], search["state"]) == ("by hand", "queued")
    for action, state in (("pause", "paused"), ("resume", "queued")):
        assert json.loads(nas("search", action, search["id"], "-o", "json")[1])["state"] == state
    searches.work_off(engine, search["id"])
    assert json.loads(nas("search", "watch", search["id"], "-o", "json")[1])["state"] == "succeeded"
    for arguments in (
        ("search", "plan", "--objective", "accuracy_top1", "--objective", "macs<1e6"),
        ("search", "list"),
        ("search", "show", search["id"]),
        ("front", search["id"]),
        ("front", search["id"], "--stage", "search", "--at-evaluation", "6"),
        ("device", "list"),
        ("data", "list"),
        ("key", "list"),
        ("key", "create", "made", "--scope", "search:read"),
        ("migrate",),
        ("config", "show", "--origin"),
    ):
        code, out, err = nas(*arguments, "-o", "json")
        assert code == 0, (arguments, err)
        assert json.loads(out), arguments
        if "create" not in arguments:
            assert yaml.safe_load(nas(*arguments, "-o", "yaml")[1]).__class__ is json.loads(out).__class__, arguments
        code, out, err = nas(*arguments)
        assert code == 0, (arguments, err)
        assert len(out.splitlines()) > 1, arguments
    warning = {"code": "guessing", "message": "it only guesses", "suggestion": "train longer"}
    with unit_of_work(engine) as session:
        supernet_id = stored.get(session, search["id"]).supernet_id
        session.execute(update(SupernetRow).where(SupernetRow.id == supernet_id).values(warnings=[warning]))
    for form in ("table", "csv"):
        told = nas("front", search["id"], "-o", form)
        assert told[2] == "warning: it only guesses; train longer\n"
        assert "only guesses" not in told[1]
    made = json.loads(nas("key", "create", "again", "-o", "json")[1])
    assert json.loads(nas("key", "revoke", made["id"], "-o", "json")[1]) == {"id": made["id"], "state": "revoked"}
    file = tmp_path / "request.yaml"
    file.write_text("name: from a file\nspace: {library: digits-mobile}\ndataset: digits\nbudget: {trials: 3}\n")
    code, _, err = nas("search", "create", "--file", str(file))
    assert code == 2
    assert "/objectives" in err
    code, _, err = nas("search", "create", "--file", str(file), "--recipe-param", "num_epochs=2")
    assert (code, "--recipe-param: --file holds the whole request" in err) == (2, True)
    file.write_text(file.read_text().replace("{library: digits-mobile}", "digits-mobile") + "objectives: [macs]\n")
    code, _, err = nas("search", "plan", "--file", str(file))
    assert code == 2
    assert err.startswith("nas: line 5, /objectives/0: must be an object (e.g. ")
    assert "/learning_rat: " in nas("search", "plan", "--recipe-param", "learning_rat=1")[2]


def test_waiting_follows_to_the_end(nas, engine):
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            with unit_of_work(engine) as session:
                found = stored.page(session, limit=1, name="to wait for")
            if found:
                searches.work_off(engine, found[0].id)
                return

    worker = threading.Thread(target=work)
    worker.start()
    try:
        code, out, err = nas(
            "search", "create", "--trials", "6", "--finalists", "2", "--name", "to wait for", "--wait", "-o", "json"
        )
    finally:
        done.set()
        worker.join()
    assert code == 0, err
    assert json.loads(out)["state"] == "succeeded"
    assert "to wait for: succeeded" in err


def test_exit_codes(nas, engine, url, monkeypatch, postgres_server):
    search = json.loads(nas("search", "create", "--trials", "6", "-o", "json")[1])
    assert nas("search", "cancel", search["id"])[0] == 0
    assert nas("search", "watch", search["id"])[0] == 1  # it did not succeed
    assert nas("search", "show")[0] == 2  # an argument is missing
    assert nas("search", "show", "srch_1")[0] == 2
    code, out, err = nas("search", "create", "--dataset", "none-such")
    assert (code, out) == (2, "")
    assert err == "nas: /dataset: data set none-such does not exist (allowed: digits)\n"
    assert nas("search", "create", "--objective", "macs<many")[0] == 2
    assert nas("search", "show", "srch_" + "0" * 32)[0] == 5
    assert f"did you mean {search['id']}" in nas("search", "show", search["id"][:-1] + "x")[2]
    assert f"did you mean {search['id']}" in nas("front", search["name"])[2]
    assert "nas search list" in nas("search", "pause", "srch_" + "0" * 32)[2]
    assert "did you mean 'digits-mobile'?" in nas("search", "create", "--space", "digits-mobil")[2]
    assert "did you mean 'nsga" in nas("search", "create", "--strategy", "nsga")[2]
    assert "'acuracy' (did you mean 'accuracy_top1'?" in nas("search", "create", "--objective", "acuracy")[2]
    assert "did you mean 'local-cpu'?" in nas(*ACCURATE, "--objective", "latency_ms@localcpu<3")[2]
    assert "tri_ with 32 hexadecimal digits" in nas("export", "download", "tri_1", "nowhere")[2]
    code, err = nas("table", "show", "none-such")[::2]
    assert (code, "nas table list" in err) == (5, True)
    code, _, err = nas("search", "resume", search["id"])
    assert (code, "cancelled" in err) == (6, True)
    monkeypatch.setenv("NAS_API_KEY", "nas_wrong")
    assert nas("search", "list")[0] == 4
    monkeypatch.setenv("NAS_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("nas_service.client_http.delay_s", lambda *_: 0.0)
    code, _, err = nas("search", "list")
    assert (code, "is the service running?" in err) == (7, True)
    monkeypatch.setenv("NAS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert nas("doctor")[0] == 7
    from tests.support import postgres

    with postgres.database(postgres_server) as empty:
        monkeypatch.setenv("NAS_DATABASE_URL", empty)
        code, _, err = nas("doctor")
        assert (code, "nas migrate" in err) == (3, True)


def test_interrupting_detaches(nas, engine):
    search = json.loads(nas("search", "create", "--trials", "6", "-o", "json")[1])
    command = [sys.executable, "-m", "nas_service.cli.main", "search", "watch", search["id"]]
    watching = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    try:
        first = watching.stderr.readline()
        assert "queued" in first
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=60)
    finally:
        watching.kill()
        watching.wait()
    assert watching.returncode == 130
    assert f"detached; the search goes on: nas search watch {search['id']}" in err
    assert out == ""
    assert searches.search_of(engine, search["id"]).state == "queued"
