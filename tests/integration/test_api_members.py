"""Members of a search space by number over REST."""

from __future__ import annotations

import pytest

from search_spaces.language.reader import read_text
from search_spaces.library_index import library_text, load_library
from search_spaces.network import Network
from search_spaces.views.describe import network_text
from tests.support.api import app_on, client_of, new_key

pytestmark = pytest.mark.usefixtures("empty_tables")


@pytest.fixture
def client(engine, empty_tables, database_url, tmp_path):
    return client_of(app_on(database_url, tmp_path), new_key(engine))


def test_members_are_numbered_and_drawn(client):
    space = load_library("digits-mobile")
    made = client.post("/v1/search-spaces", json={"document": read_text(library_text("digits-mobile"))})
    assert made.status_code == 201
    path = f"/v1/search-spaces/{made.json()['id']}/architectures"
    for number in (0, 7, space.cardinality - 1):
        answer = client.get(f"{path}/{number}")
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        genes = space.unrank([number])[0]
        assert shown["number"] == str(number)
        assert shown["hash"] == space.architecture(genes).hash
        assert Network.from_json(shown["network"]) == space.resolve(genes)
        assert shown["costs"]["macs"] == space.resolve(genes).cost().macs
        assert shown["text"] == network_text(space.resolve(genes))
    beyond = client.get(f"{path}/{space.cardinality}")
    assert beyond.status_code == 422
    assert f"0 to {space.cardinality - 1}" in beyond.text
    assert [client.get(f"{path}/{wrong}").status_code for wrong in ("-1", "x", "007", "1.5")] == [422] * 4
    assert client.get(f"/v1/search-spaces/spc_{'0' * 32}/architectures/0").status_code == 404
