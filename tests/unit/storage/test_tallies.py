"""Tallies are what a count of all rows gives, though most rows are counted once only."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import event, text

from nas_service.storage import trials
from nas_service.storage.session import unit_of_work
from tests.support.rows import add_search

ENDED = ("succeeded", "infeasible", "failed", "cancelled")


class Undone(Exception):
    """Ends a transaction without a commit."""


def add(session, search_id: str, first: int, states: list[str]) -> None:
    rows = [
        {
            "id": f"{search_id}-{number}",
            "search_id": search_id,
            "stage": "search",
            "number": number,
            "fidelity": 0.25,
            "architecture_hash": "a",
            "genes": [0],
            "state": state,
            "evaluation_key": str(number),
            "token": {},
            "accuracy_top1": 0.5,
            "loss": 0.5,
            "finished_at": None if state == "pending" else "2026-01-01T00:00:00Z",
        }
        for number, state in enumerate(states, first)
    ]
    trials.insert_many(session, rows)


def counted(engine, search_id: str) -> dict[str, int]:
    query = text("SELECT state, count(*) FROM trial WHERE search_id = :id GROUP BY state")
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query, {"id": search_id})}


@pytest.mark.parametrize("seed", range(4))
def test_tallies_stay_right_whatever_happens(engine, empty_tables, seed):
    draw, last = random.Random(seed), {}
    with unit_of_work(engine) as session:
        last |= {add_search(session): 0, add_search(session): 0}
    for _ in range(40):
        search_id = draw.choice(list(last))
        states = draw.choices(ENDED if draw.random() < 0.7 else ("pending", *ENDED), k=draw.randrange(4))
        undone = draw.random() < 0.3
        try:
            with unit_of_work(engine) as session:
                if draw.random() < 0.3:
                    trials.cancel_open(session, search_id)
                add(session, search_id, last[search_id], states)
                if draw.random() < 0.5:
                    trials.tallies(session, list(last))
                if undone:
                    raise Undone
            last[search_id] += len(states)
        except Undone:
            pass
        with unit_of_work(engine) as session:
            found = trials.tallies(session, list(last))
        for name, tally in found.items():
            now = counted(engine, name)
            assert tally.counts.get("search", {}) == now
            cost = sum(count for state, count in now.items() if state in ENDED and state != "cancelled")
            assert tally.full_evaluations == 0.25 * cost
    assert trials.tallies(session, []) == {}


def test_what_has_ended_is_counted_once(engine, empty_tables):
    read = []
    with unit_of_work(engine) as session:
        search_id = add_search(session)
        add(session, search_id, 0, ["succeeded"] * 2000)
    event.listen(engine, "before_cursor_execute", lambda *args: read.append(args[3]))
    for _ in range(2):
        with unit_of_work(engine) as session:
            assert trials.tallies(session, [search_id])[search_id].counts == {"search": {"succeeded": 2000}}
    assert [2000 in asked.values() for asked in read] == [False, True]
