"""Tables over REST: sent in pieces, judged row by row, sealed by their content, and searched."""

from __future__ import annotations

import pytest

from nas_service.control.reconcile import Reconciler
from tests.support.api import app_on, client_of, new_key
from tests.support.searches import search_of
from tests.support.tables import TableWorker, advance_until_rest, small_rows, small_table

pytestmark = pytest.mark.usefixtures("empty_tables")

DEFINITION = {
    "name": "small",
    "choices": ["first op", "second op", "width1", "width2"],
    "metrics": [
        {"name": "accuracy", "goal": "maximize", "unit": "percent"},
        {"name": "latency_ms", "goal": "minimize", "unit": "ms"},
    ],
}


@pytest.fixture
def client(engine, empty_tables, database_url, tmp_path):
    return client_of(app_on(database_url, tmp_path), new_key(engine))


def sent(client, rows, definition=DEFINITION, size=100):
    upload = client.post("/v1/tables", json=definition)
    assert upload.status_code == 201, upload.text
    for first in range(0, len(rows), size):
        body = {"first_row": first, "rows": rows[first : first + size]}
        answer = client.post(f"/v1/table-uploads/{upload.json()['id']}/rows", json=body)
        if answer.status_code != 200:
            return answer
    return client.post(f"/v1/table-uploads/{upload.json()['id']}/seal")


def test_a_table_is_named_by_its_content_whatever_the_order_of_rows(client):
    first = sent(client, small_rows())
    assert first.status_code == 200
    assert first.json()["id"] == small_table().id
    manifest = first.json()["manifest"]
    assert manifest["num_architectures"] == 256
    assert [metric["num_missing"] for metric in manifest["metrics"]] == [0, 1]
    assert client.post("/v1/tables", json=DEFINITION).status_code == 409
    again = sent(client, small_rows()[::-1], DEFINITION | {"name": "another"}, size=77)
    assert again.status_code == 200
    # A flat space is named after its table, so the other name is other content.
    assert again.json()["name"] == "another"
    listed = client.get("/v1/tables").json()["items"]
    assert {table["name"] for table in listed} == {"small", "another"}
    assert client.get("/v1/tables/small").json() == client.get(f"/v1/tables/{first.json()['id']}").json()
    assert client.get("/v1/tables/nothing").status_code == 404


def test_the_same_piece_twice_is_one_piece(client):
    upload = client.post("/v1/tables", json=DEFINITION).json()
    body = {"first_row": 0, "rows": small_rows()[:10]}
    path = f"/v1/table-uploads/{upload['id']}/rows"
    once = client.post(path, json=body, headers={"Idempotency-Key": "piece-0"})
    again = client.post(path, json=body, headers={"Idempotency-Key": "piece-0"})
    assert once.json() == again.json()
    assert again.json()["num_rows"] == 10
    assert client.post(path, json=body).status_code == 409
    other = client.post("/v1/tables", json=DEFINITION | {"name": "another"}).json()
    refused = client.post(f"/v1/table-uploads/{other['id']}/rows", json=body, headers={"Idempotency-Key": "piece-0"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("row", "pointer", "said"),
    [
        (["op0", "op1", 8, 8, 90.0], "/rows/1", "row 102: 5 entries instead of 6"),
        (["op0", "op1", 8, 8, "fast", 1.0], "/rows/1/4", "row 102, column 'accuracy': 'fast' is no finite number"),
        ([None, "op1", 8, 8, 1.0, 1.0], "/rows/1/0", "row 102, column 'first op': a choice is missing"),
        (["=1", "op1", 8, 8, 1.0, 1.0], "/rows/1/0", "row 102, column 'first op': '=1' is no option"),
    ],
)
def test_a_wrong_row_is_named_by_number_and_column(client, row, pointer, said):
    upload = client.post("/v1/tables", json=DEFINITION).json()
    path = f"/v1/table-uploads/{upload['id']}/rows"
    assert client.post(path, json={"first_row": 0, "rows": small_rows()[:100]}).status_code == 200
    answer = client.post(path, json={"first_row": 100, "rows": [small_rows()[100], row]})
    assert answer.status_code == 422
    problem = answer.json()["errors"][0]
    assert problem["pointer"] == pointer
    assert problem["message"].startswith(said)


def test_repeated_rows_and_too_many_options_are_refused(client):
    answer = sent(client, [*small_rows(), small_rows()[5]])
    assert answer.status_code == 422
    assert "rows 6 and 257 say the same" in answer.json()["detail"]
    wide = [[f"value{i}", "op1", 8, 8, 1.0, 1.0] for i in range(300)]
    answer = sent(client, wide)
    assert answer.status_code == 422
    assert "300 different values" in answer.json()["detail"]


def test_rows_of_a_given_space_must_be_its_members(client):
    space = {"library": "nasbench201-cell"}
    genes = [f"cell.{edge}.op" for edge in ("e01", "e02", "e12", "e03", "e13", "e23")]
    definition = DEFINITION | {"space": space, "choices": genes}
    row = ["none", "none", "skip_connect", "none", "none", "nor_conv_1x1", 50.0, 1.0]
    assert sent(client, [row], definition).json()["manifest"]["costs"]
    wrong = [[*row[:2], "conv_9x9", *row[3:]], [*row[:3], None, *row[4:]]]
    answer = sent(client, wrong, definition | {"name": "wrong"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/rows/0/2"
    assert "nor_conv_3x3" in answer.json()["errors"][0]["suggestion"]
    few = client.post("/v1/tables", json=definition | {"name": "few", "choices": genes[:5]})
    assert few.json()["errors"][0]["pointer"] == "/choices"
    other = client.post("/v1/tables", json=definition | {"name": "few", "choices": [*genes[:5], "e99"]})
    assert other.json()["errors"][0]["pointer"] == "/choices/5"


SEARCH = {
    "name": "over the table",
    "evaluator": {"kind": "table", "table": "small"},
    "objectives": [{"metric": "accuracy"}, {"metric": "latency_ms", "constraint": {"maximum": 30}}],
    "strategy": {"name": "nsga2"},
    "budget": {"trials": 80},
    "seed": 2,
}


def test_a_search_over_it_serves_regret_and_a_front_of_any_time(client, engine, tmp_path):
    assert sent(client, small_rows()).status_code == 200
    plan = client.post("/v1/search-plans", json=SEARCH)
    assert plan.status_code == 200, plan.text
    assert plan.json()["constraints"]["any_feasible"] is True
    created = client.post("/v1/searches", json=SEARCH)
    assert created.status_code == 201, created.text
    search_id = created.json()["id"]
    assert created.json()["spec"]["objectives"][0]["goal"] == "maximize"
    assert created.json()["normalised_hypervolume"] is None
    worker, reconciler, early = TableWorker(engine, tmp_path / "artifacts", limit=20), Reconciler(engine), {}
    path = f"/v1/searches/{search_id}/front?at_evaluation="
    for _ in range(3):
        reconciler.reconcile()
        claim = worker.claim()
        worker.record(claim, worker.compute(claim))
        told = search_of(engine, search_id).num_told
        early[told] = client.get(f"{path}{told}").content
    advance_until_rest(engine, worker, search_id)
    for told, content in early.items():
        assert client.get(f"{path}{told}").content == content
    search = client.get(f"/v1/searches/{search_id}").json()
    assert search["state"] == "succeeded"
    assert 0.8 < search["normalised_hypervolume"] <= 1.0
    assert search["regret"] == pytest.approx(1 - search["normalised_hypervolume"])
    front = client.get(f"/v1/searches/{search_id}/front").json()
    assert (front["stage"], front["axes"]) == ("search", ["accuracy", "latency_ms"])
    assert front["normalised_hypervolume"] == pytest.approx(search["normalised_hypervolume"])
    assert front["history"][-1]["normalised_hypervolume"] == pytest.approx(search["normalised_hypervolume"])
    assert {member["id"] for member in front["members"]} <= {
        trial["id"]
        for trial in client.get(f"/v1/searches/{search_id}/trials?state=succeeded&page_size=100").json()["items"]
    }
    curve = client.get(f"/v1/searches/{search_id}/hypervolume").json()
    assert curve["normalised_hypervolume"][-1] == pytest.approx(search["normalised_hypervolume"])
    columns = client.get(f"/v1/searches/{search_id}/trial-columns?fields=accuracy,latency_ms,choices").json()
    assert len(columns["metrics"]["latency_ms"]) == 80
    listed, query = [], {"sort": "-accuracy", "page_size": 33}
    while query.get("page_token") != "":
        page = client.get(f"/v1/searches/{search_id}/trials", params=query).json()
        listed += page["items"]
        query["page_token"] = page["next_page_token"] or ""
    values = [trial["metrics"].get("accuracy") or 0.0 for trial in listed]
    assert len({trial["id"] for trial in listed}) == 80
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 10
    refused = client.get(f"/v1/searches/{search_id}/trials?sort=beauty")
    assert refused.status_code == 422
    assert "unknown column 'beauty'; allowed: accuracy, accuracy_top1" in refused.json()["detail"]
    assert max(filter(None, columns["metrics"]["latency_ms"])) > 0
    assert search_of(engine, search_id).table_id == small_table().id


def test_one_objective_has_its_regret_in_its_unit(client, engine, tmp_path):
    assert sent(client, small_rows()).status_code == 200
    body = SEARCH | {"objectives": [{"metric": "accuracy"}], "budget": {"trials": 30}}
    search_id = client.post("/v1/searches", json=body).json()["id"]
    advance_until_rest(engine, TableWorker(engine, tmp_path / "artifacts"), search_id)
    best = max(row[4] for row in small_rows())
    found = max(
        trial["metrics"]["accuracy"] for trial in client.get(f"/v1/searches/{search_id}/trials").json()["items"]
    )
    assert client.get(f"/v1/searches/{search_id}").json()["regret"] == pytest.approx(best - found)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"objectives": [{"metric": "beauty"}]}, "/objectives/0/metric"),
        ({"objectives": [{"metric": "accuracy", "device": "x"}]}, "/objectives/0/device"),
        ({"evaluator": {"kind": "table", "table": "nowhere"}}, "/evaluator/table"),
        ({"evaluator": {"kind": "table"}}, "/evaluator/table"),
        ({"dataset": "digits"}, "/dataset"),
        ({"finalists": {"count": 2}}, "/finalists"),
        ({"strategy": {"name": "magic"}}, "/strategy/name"),
        ({"space": {"library": "digits-mobile"}}, "/space"),
        ({"evaluator": {"kind": "oracle"}}, "/evaluator/kind"),
    ],
)
def test_a_wrong_search_names_its_field(client, change, pointer):
    assert sent(client, small_rows()).status_code == 200
    answer = client.post("/v1/searches", json=SEARCH | change)
    assert answer.status_code == 422
    said = {problem["pointer"]: problem["message"] for problem in answer.json()["errors"]}
    assert pointer in said, answer.text
    if pointer == "/evaluator/kind":
        assert "allowed: supernet, table" in said[pointer]
