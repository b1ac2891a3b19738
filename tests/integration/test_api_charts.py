"""What the dashboard draws from, over REST on a real database: columns, common references, timeline, structure."""

import numpy as np
import pytest

from nas_service.control.spaces import compiled_space
from nas_service.domain.pareto import hypervolume
from nas_service.storage.session import unit_of_work
from search_spaces.library_index import load_library
from tests.support import api, searches
from tests.support.searches import LATENCY

FIELDS = "id,state,created_unix_s,finished_unix_s,accuracy_top1,macs,peak_activation_bytes,latency_ms,choices"


@pytest.fixture(scope="module")
def client(engine, database_url, tmp_path_factory):
    searches.install(engine)
    return api.client_of(api.app_on(database_url, tmp_path_factory.mktemp("home")), api.new_key(engine))


@pytest.fixture(scope="module")
def search(client, engine) -> dict:
    body = {
        "name": "charts",
        "space": {"library": "digits-mobile"},
        "dataset": "digits",
        "objectives": [{"metric": "accuracy_top1"}, {"metric": "macs"}, {"metric": LATENCY.metric}],
        "budget": {"trials": 25},
        "finalists": {"count": 3},
        "parallelism": 4,
    }
    created = client.post("/v1/searches", json=body)
    assert created.status_code == 201, created.text
    searches.work_off(engine, created.json()["id"])
    return client.get(f"/v1/searches/{created.json()['id']}").json()


def get(client, path: str) -> dict:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_columns_hold_what_the_trials_hold(client, engine, search):
    url = f"/v1/searches/{search['id']}/trial-columns?fields={FIELDS}"
    parts = [get(client, url + "&limit=10")]
    while parts[-1]["next_first"] is not None:
        parts.append(get(client, f"{url}&limit=10&first={parts[-1]['next_first']}"))
    assert [len(part["number"]) for part in parts] == [10, 10, 5]
    assert [part["is_final"] for part in parts] == [True, True, False]
    sample = get(client, f"{url}&every=4&first=5")
    assert (sample["number"], sample["next_first"]) == ([8, 12, 16, 20, 24], None)
    assert sample["choices"] == {
        name: [value for part in parts for value in part["choices"][name]][8::4] for name in sample["choices"]
    }
    rows = get(client, f"/v1/searches/{search['id']}/trials?stage=search&page_size=100")["items"]
    assert [row["id"] for row in rows] == [one for part in parts for one in part["id"]]
    for name in ("accuracy_top1", "macs", "latency_ms"):
        assert [row[name] for row in rows] == pytest.approx([v for part in parts for v in part["metrics"][name]], 1e-6)
    memory = [row["metrics"].get("peak_activation_bytes") for row in rows]
    assert memory == [value for part in parts for value in part["metrics"]["peak_activation_bytes"]]
    with unit_of_work(engine) as session:
        space = compiled_space(session, search["space_id"])
    for place, row in enumerate(rows[:10]):
        chosen = parts[0]["choices"]
        genes = np.array([chosen[gene.name][place] for gene in space.genes])
        assert space.architecture(genes).hash == row["architecture_hash"]
    assert all(done >= made for done, made in zip(parts[0]["finished_unix_s"], parts[0]["created_unix_s"], strict=True))


def test_a_space_of_one_network_has_columns_without_choices(client, engine):
    head = {"block": "image_head", "name": "head", "out": "=classes"}
    document = load_library("digits-mobile").document.to_json() | {"network": [head]}
    body = {"name": "one", "space": {"document": document}, "dataset": "digits", "budget": {"trials": 5}}
    body |= {"objectives": [{"metric": "accuracy_top1"}], "finalists": {"count": 1}}
    created = client.post("/v1/searches", json=body)
    assert created.status_code == 201, created.text
    searches.work_off(engine, created.json()["id"])
    found = get(client, f"/v1/searches/{created.json()['id']}/trial-columns?fields=choices,state")
    assert (found["number"], found["state"], found["choices"]) == ([0], ["succeeded"], {})


def test_fields_left_out_are_null_and_unknown_ones_refused(client, search):
    url = f"/v1/searches/{search['id']}/trial-columns"
    bare = get(client, url)
    assert [bare["id"], bare["choices"], bare["metrics"]] == [None, None, {}]
    assert set(bare["state"]) == {"succeeded"}
    final = get(client, f"{url}?stage=final&fields=accuracy_top1")
    assert len(final["number"]) == len(final["metrics"]["accuracy_top1"]) == 3
    refused = client.get(f"{url}?fields=accuracy_top1,token")
    assert refused.status_code == 422
    assert "allowed: accuracy_top1" in refused.json()["detail"]


def test_the_hypervolume_curve_agrees_with_the_search_and_takes_any_reference(client, search):
    url = f"/v1/searches/{search['id']}/hypervolume"
    own = get(client, url)
    assert own["axes"] == ["accuracy_top1", "macs", "latency_ms"]
    assert (own["num_evaluations"][0], own["num_evaluations"][-1]) == (0, 25)
    assert own["hypervolume"] == sorted(own["hypervolume"])
    assert own["hypervolume"][-1] == pytest.approx(search["hypervolume"])
    wide = [2 * value if value > 0 else value for value in search["reference_point"]]
    shown = get(client, f"{url}?num_points=5&reference_point={','.join(map(str, wide))}")
    front = get(client, f"/v1/searches/{search['id']}/front?stage=search")["members"]
    points = np.array([[-one["accuracy_top1"], one["macs"], one["latency_ms"]] for one in front])
    assert shown["hypervolume"][-1] == pytest.approx(hypervolume(points, wide))
    assert len(shown["hypervolume"]) == 6
    for wrong in ("1,2", "1,2,x", "1,2,inf"):
        assert client.get(f"{url}?reference_point={wrong}").status_code == 422, wrong


def test_the_timeline_has_the_searchs_jobs_and_those_it_waited_for(client, search):
    items = get(client, f"/v1/searches/{search['id']}/timeline")["items"]
    assert {"train_supernet", "fit_latency", "evaluate", "measure"} <= {item["kind"] for item in items}
    assert [item["started_at"] for item in items] == sorted(item["started_at"] for item in items)
    assert all(item["outcome"] == "done" or item["finished_at"] is not None for item in items)
    evaluated = sum(item["num_trials"] for item in items if item["kind"] == "evaluate")
    assert evaluated >= 25
    latest = get(client, f"/v1/searches/{search['id']}/timeline?limit=2")["items"]
    assert latest == items[-2:]


def test_a_space_is_answered_with_its_structure(client, search):
    space = load_library("digits-mobile")
    stored = get(client, f"/v1/search-spaces/{search['space_id']}")
    assert [gene["name"] for gene in stored["genes"]] == [gene.name for gene in space.genes]
    assert [node["kind"] for node in stored["nodes"]] == ["block", "repeat", "repeat", "block"]
    checked = client.post("/v1/search-space-checks", json={"document": space.document.to_json()}).json()
    assert checked["cardinality"] == str(space.cardinality)
    assert [gene["conditional"] for gene in checked["genes"]].count(True) == 6
    assert checked["nodes"][0]["params"]["out"] == [4, 8]
