"""Keys, browser sessions, repeated requests, audit and the installation's own row."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from nas_service.errors import Conflict, InvalidInput
from nas_service.storage import audit, browser_sessions, idempotency, installation, keys
from nas_service.storage.session import unit_of_work

pytestmark = pytest.mark.usefixtures("empty_tables")


def test_a_key_works_until_it_is_revoked_and_its_secret_is_not_stored(engine):
    with unit_of_work(engine) as session:
        new = keys.create_key(session, "ci", ["search:read", "search:write"])
    with unit_of_work(engine) as session:
        assert keys.verify_key(session, new.token) == keys.KeyHolder(
            new.id, "ci", frozenset({"search:read", "search:write"})
        )
    secret = new.token.split("_", 2)[2]
    with engine.connect() as connection:
        assert secret not in str(connection.execute(text("SELECT * FROM api_key")).all())
    with unit_of_work(engine) as session:
        (listed,) = keys.list_keys(session)
        assert listed.id == new.id
        assert listed.last_used_at is not None
        assert listed.expires_at is not None
        assert keys.revoke_key(session, new.id)
        assert not keys.revoke_key(session, new.id)
        assert keys.verify_key(session, new.token) is None


def test_wrong_keys_are_refused(engine):
    with unit_of_work(engine) as session:
        one, two = keys.create_key(session, "one", []), keys.create_key(session, "two", [])
        secret = two.token.removeprefix("nas_" + two.id.removeprefix("key_"))
        mixed = "nas_" + one.id.removeprefix("key_") + secret
        for token in (mixed, one.token[:-1], one.token + "x", "", "nas_", one.id, one.token + "\n", "\0"):
            assert keys.verify_key(session, token) is None
        expired = keys.create_key(session, "old", [], lifetime_s=-1)
        assert keys.verify_key(session, expired.token) is None
        forever = keys.create_key(session, "forever", [], lifetime_s=None)
        assert keys.verify_key(session, forever.token) is not None


def test_a_browser_session_ends_by_time_sign_out_or_with_its_key(engine):
    with unit_of_work(engine) as session:
        key = keys.create_key(session, "me", ["search:read"])
        token = browser_sessions.start_session(session, key.id)
        other = browser_sessions.start_session(session, key.id)
        short = browser_sessions.start_session(session, key.id, lifetime_s=-1)
    with unit_of_work(engine) as session:
        holder = browser_sessions.session_holder(session, token)
        assert holder == keys.KeyHolder(key.id, "me", frozenset({"search:read"}))
        assert browser_sessions.session_holder(session, short) is None
        assert browser_sessions.session_holder(session, "guess") is None
        browser_sessions.end_session(session, other)
        assert browser_sessions.session_holder(session, other) is None
        keys.revoke_key(session, key.id)
        assert browser_sessions.session_holder(session, token) is None


def test_duplicates_at_once_create_once(engine):
    created, answers = [], []
    start = threading.Barrier(6, timeout=20)

    def request() -> None:
        start.wait()
        with unit_of_work(engine) as session:
            answer = idempotency.begin(session, "key_1", "abc", "f")
            if answer is None:
                created.append(1)
                answer = idempotency.Answer(201, {"id": "srch_1"}, "/v1/searches/srch_1")
                idempotency.store(session, "key_1", "abc", "f", answer)
        answers.append(answer)

    threads = [threading.Thread(target=request) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(created) == 1
    assert len(answers) == 6
    assert len({str(answer) for answer in answers}) == 1


def test_a_reused_key_is_refused_and_belongs_to_its_principal(engine):
    answer = idempotency.Answer(201, {}, None)
    with unit_of_work(engine) as session:
        idempotency.store(session, "key_1", "abc", "f", answer)
        with pytest.raises(InvalidInput) as caught:
            idempotency.begin(session, "key_1", "abc", "g")
        assert caught.value.problems[0].code == "idempotency_key_reused"
        assert idempotency.begin(session, "key_2", "abc", "g") is None
        assert idempotency.prune(session) == 0
        assert idempotency.prune(session, kept_s=-1) == 1
        assert idempotency.begin(session, "key_1", "abc", "g") is None


def test_audit_rows_come_with_the_change(engine):
    with unit_of_work(engine) as session:
        audit.record(session, "key_1", "search.cancel", "srch_1", "127.0.0.1")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT principal, action, subject, remote FROM audit")).all()
    assert [tuple(row) for row in rows] == [("key_1", "search.cancel", "srch_1", "127.0.0.1")]


def test_the_installation_is_made_once_and_knows_its_artifacts(engine, tmp_path):
    with unit_of_work(engine) as session:
        mine = installation.ensure(session)
    with unit_of_work(engine) as session:
        assert installation.ensure(session) == mine
    installation.mark_artifacts(mine, tmp_path / "artifacts")
    installation.mark_artifacts(mine, tmp_path / "artifacts")
    other = installation.Installation("another", b"")
    with pytest.raises(Conflict):
        installation.mark_artifacts(other, tmp_path / "artifacts")
