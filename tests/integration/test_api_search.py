"""One search over the REST API on a real database, with a worker whose results are formulas."""

import hashlib
import json
import threading

import pytest

from nas_service.api.conditional import IMMUTABLE
from nas_service.client import ApiError, Client
from nas_service.control.reconcile import Reconciler
from nas_service.datasets.store import DATASETS_FOLDER, DatasetStore
from nas_service.storage import devices, exports, jobs
from nas_service.storage.session import unit_of_work
from search_spaces.library_index import library_text
from tests.support import api, searches
from tests.support.api import ACCURACY, SEARCH


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def app(engine, database_url, home):
    searches.install(engine)
    return api.app_on(database_url, home)


@pytest.fixture(scope="module")
def client(app, engine):
    return api.client_of(app, api.new_key(engine))


@pytest.fixture(scope="module")
def finished(client, engine) -> dict:
    answer = client.post("/v1/searches", json=SEARCH)
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert answer.headers["location"] == f"/v1/searches/{created['id']}"
    assert created["state"] == "queued"
    searches.work_off(engine, created["id"])
    return client.get(f"/v1/searches/{created['id']}").json()


def test_a_search_is_read_from_every_side(client, finished):
    search_id = finished["id"]
    assert finished["state"] == "succeeded"
    assert finished["progress"]["message"] == "done"
    assert finished["num_told"] == 24
    assert finished["latency_estimator"]["state"] == "ready"
    assert finished["spec"]["strategy"]["name"] == "auto"
    assert "strategy_state" not in finished
    assert search_id in [item["id"] for item in client.get("/v1/searches?state=succeeded").json()["items"]]
    assert client.get("/v1/searches?name=no%25such").json()["items"] == []

    front = client.get(f"/v1/searches/{search_id}/front?stage=search").json()
    assert front["axes"] == ["accuracy_top1", "macs"]
    assert front["hypervolume"] == pytest.approx(finished["hypervolume"])
    assert len(front["members"]) == len(front["contributions"]) == finished["front_size"]
    volumes = [point["hypervolume"] for point in front["history"]]
    assert volumes == sorted(volumes)
    early = client.get(f"/v1/searches/{search_id}/front?stage=search&at_evaluation=4").json()
    assert early["hypervolume"] <= front["hypervolume"]
    final = client.get(f"/v1/searches/{search_id}/front?device=local-cpu").json()
    assert {member["stage"] for member in final["members"]} == {"final"}
    assert client.get(f"/v1/searches/{search_id}/front?device=other").status_code == 422
    assert client.get(f"/v1/searches/{search_id}/front?at_evaluation=3").status_code == 422

    chosen = final["members"][0]
    trial = client.get(f"/v1/trials/{chosen['id']}").json()
    architecture = client.get(f"/v1/architectures/{chosen['architecture_hash']}").json()
    assert architecture["choices"] == trial["choices"]
    assert sum(node["macs"] for node in architecture["nodes"]) == architecture["costs"]["macs"] == trial["macs"]
    measured = client.get(f"/v1/searches/{search_id}/measurements").json()["items"]
    assert chosen["id"] in [item["trial_id"] for item in measured]
    assert _in_pages_of_one(client, f"/v1/searches/{search_id}/measurements") == measured

    curves = client.get(f"/v1/supernets/{finished['supernet_id']}/curves").json()
    assert curves["points"] == [{"subnet": "largest", "step": 10, "accuracy_top1": 0.9, "loss": 0.3}]
    assert client.get(f"/v1/supernets/{finished['supernet_id']}").json()["state"] == "ready"
    assert client.get("/v1/supernets").json()["items"]
    assert "local-cpu" in [item["name"] for item in client.get("/v1/devices").json()["items"]]
    dataset = client.get("/v1/datasets").json()["items"][0]
    assert client.get(f"/v1/datasets/{dataset['id']}").json()["manifest"]["classes"]


def _in_pages_of_one(client, path):
    found, query = [], {"page_size": 1}
    while True:
        page = client.get(path, params=query).json()
        assert len(page["items"]) == 1
        found += page["items"]
        if page["next_page_token"] is None:
            return found
        query["page_token"] = page["next_page_token"]


@pytest.mark.parametrize("sort", ["number", "-number", "accuracy_top1", "-macs", "latency_ms", "-created_at"])
def test_pages_of_trials_cover_everything_once(client, finished, sort):
    found, token = [], ""
    while True:
        query = {"sort": sort, "page_size": 7, "stage": "search"} | ({"page_token": token} if token else {})
        page = client.get(f"/v1/searches/{finished['id']}/trials", params=query).json()
        found += page["items"]
        token = page["next_page_token"]
        if not token:
            break
        other = client.get(
            f"/v1/searches/{finished['id']}/trials", params={**query, "page_token": token, "state": "failed"}
        )
        assert other.status_code == 400
    assert len(found) == len({trial["id"] for trial in found}) == 24
    values = [trial[sort.lstrip("-")] for trial in found]
    assert values == sorted(values, reverse=sort.startswith("-"))


def test_the_plan_starts_nothing(client, engine, finished):
    before = len(client.get("/v1/searches?page_size=1000").json()["items"])
    plan = client.post("/v1/search-plans", json=SEARCH).json()
    assert plan["supernet_is_ready"] is True
    assert plan["jobs"]["train_supernet"] == 0
    assert int(plan["space"]["cardinality"]) > 1000
    assert plan["costs"]["macs"]["minimum"] < plan["costs"]["macs"]["maximum"]
    assert len(client.get("/v1/searches?page_size=1000").json()["items"]) == before


def test_the_plan_stores_no_document(client):
    import yaml

    document = {**yaml.safe_load(library_text("digits-mobile")), "name": "only planned"}
    planned = client.post("/v1/search-plans", json={**SEARCH, "space": {"document": document}})
    assert planned.status_code == 200, planned.text
    space_id = client.post("/v1/search-space-checks", json={"document": document}).json()["id"]
    for path in ("", "/profile", "/samples"):
        assert client.get(f"/v1/search-spaces/{space_id}{path}").status_code == 404
    assert client.post("/v1/searches", json={**SEARCH, "space": {"id": space_id}}).status_code == 422
    assert client.post("/v1/search-spaces", json={"document": document}).json()["id"] == space_id
    assert client.get(f"/v1/search-spaces/{space_id}/samples").status_code == 200


def test_the_jobs_of_a_search_belong_to_the_trace_of_its_request(client, engine):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    body = SEARCH | {"seed": 77, "name": "traced"}
    answer = client.post("/v1/searches", json=body, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    search_id = answer.json()["id"]
    Reconciler(engine).reconcile()
    (held,) = jobs.claim(engine, "someone", limit=1, lease_s=60, kinds=["train_supernet"])
    assert (held.supernet_id, held.trace_id) == (answer.json()["supernet_id"], trace)
    with unit_of_work(engine) as session:
        jobs.release(session, held.id, held.epoch)
    assert client.post(f"/v1/searches/{search_id}/cancel").status_code == 200


def test_an_action_on_a_changed_search_is_refused(client):
    search_id = client.post("/v1/searches", json={**SEARCH, "seed": 21}).json()["id"]
    path = f"/v1/searches/{search_id}"
    read = client.get(path)
    unchanged = client.get(path, headers={"If-None-Match": read.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    seen = {"If-Match": read.headers["etag"]}
    assert client.post(f"{path}/cancel", headers={"If-Match": '"99"'}).status_code == 412
    paused = client.post(f"{path}/pause", headers=seen)
    assert paused.json()["state"] == "paused"
    refused = client.post(f"{path}/resume", headers=seen)
    assert refused.status_code == 412
    assert refused.json()["code"] == "precondition_failed"
    assert client.get(path).json()["state"] == "paused"
    assert client.get(path, headers={"If-None-Match": read.headers["etag"]}).status_code == 200
    resumed = client.post(f"{path}/resume", headers={"If-Match": paused.headers["etag"]})
    assert resumed.json()["state"] == "queued"
    assert client.post(f"{path}/cancel", headers={"If-Match": "*"}).json()["state"] == "cancelled"


def test_a_repeated_request_gives_the_first_answer(client):
    headers = {"Idempotency-Key": "one"}
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/searches", json=SEARCH, headers=headers)))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 11
    other = client.post("/v1/searches", json={**SEARCH, "seed": 8}, headers=headers)
    assert other.status_code == 422
    assert other.json()["errors"][0]["code"] == "idempotency_key_reused"
    search_id = answers[0].json()["id"]
    assert client.post(f"/v1/searches/{search_id}/pause").json()["state"] == "paused"
    assert client.post(f"/v1/searches/{search_id}/resume").json()["state"] == "queued"
    assert client.post(f"/v1/searches/{search_id}/cancel", json={}).json()["state"] == "cancelled"
    assert client.post(f"/v1/searches/{search_id}/resume").status_code == 409


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"space": {}}, "/space"),
        ({"space": {"library": "none-such"}}, "/space/library"),
        ({"space": {"id": "spc_" + "0" * 32}}, "/space/id"),
        ({"space": {"document": {"language_version": 1}}}, "/space/document/name"),
        ({"dataset": "unknown"}, "/dataset"),
        (
            {"objectives": [{"metric": "accuracy_top1"}, {"metric": "latency_ms", "device": "gpu9"}]},
            "/objectives/1/device",
        ),
        ({"objectives": [{"metric": "accuracy_top1"}, {"metric": "speed"}]}, "/objectives/1/metric"),
        ({"evaluator": {"supernet_id": "sup_" + "0" * 32}}, "/evaluator/supernet_id"),
        ({"budget": {"trials": -1}}, "/budget/trials"),
        ({"name": "a\u0000"}, "/name"),
        ({"seed": 2**64}, "/seed"),
        ({"typo": 1}, "/typo"),
    ],
)
def test_a_wrong_search_names_the_field(client, fields, pointer):
    for path in ("/v1/searches", "/v1/search-plans"):
        answer = client.post(path, json={**SEARCH, **fields})
        assert answer.status_code == 422, answer.text
        assert pointer in [item["pointer"] for item in answer.json()["errors"]], answer.text


def test_spaces(client):
    import yaml

    document = yaml.safe_load(library_text("digits-mobile"))
    checked = client.post("/v1/search-space-checks", json={"document": document})
    assert checked.status_code == 200, checked.text
    made = client.post("/v1/search-spaces", json={"document": document})
    assert made.status_code == 201
    space_id = made.json()["id"]
    assert space_id == checked.json()["id"]
    assert client.get(made.headers["location"]).json()["document"] == document
    assert space_id in [item["id"] for item in client.get("/v1/search-spaces").json()["items"]]
    profile = client.get(f"/v1/search-spaces/{space_id}/profile").json()
    assert profile.items() <= checked.json().items()
    assert checked.json()["notes"] == []
    assert 10 ** profile["log10_cardinality"] == pytest.approx(int(profile["cardinality"]), rel=0.02)
    assert 0 < profile["most_expensive_block"]["share"] <= 1
    drawn = client.get(f"/v1/search-spaces/{space_id}/samples?count=5&seed=3").json()
    assert drawn == client.get(f"/v1/search-spaces/{space_id}/samples?count=5&seed=3").json()
    choices = [item["choices"] for item in drawn["items"]]
    assert client.post(f"/v1/search-spaces/{space_id}/costs", json={"architectures": choices}).json() == drawn
    wrong = client.post(f"/v1/search-spaces/{space_id}/costs", json={"architectures": [choices[0], {"no_such": 1}]})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["pointer"].startswith("/architectures/1")
    bomb: dict = {"language_version": 1, "name": "bomb", "task": {"kind": "image_classification"}, "input": {}}
    for depth in (12, 33, 200):
        nested = {"block": "conv"}
        for _ in range(depth):
            nested = {"sequence": [nested]}
        refused = client.post("/v1/search-space-checks", json={"document": {**bomb, "network": [nested]}})
        assert refused.status_code == 422
        assert depth == 200 or all(item["pointer"].startswith("/document") for item in refused.json()["errors"])


def test_a_front_of_the_past_never_changes(client, engine):
    search_id = client.post("/v1/searches", json={**SEARCH, "seed": 31}).json()["id"]
    path = f"/v1/searches/{search_id}/front"
    worker, reconciler = searches.FormulaWorker(engine), Reconciler(engine)
    while searches.search_of(engine, search_id).num_told < 8:
        reconciler.reconcile()
        for claim in worker.claim():
            worker.do(claim)
    query = {"stage": "search", "at_evaluation": 8}
    early = client.get(path, params=query)
    assert early.json()["num_evaluations"] == 8
    assert early.headers["cache-control"] == IMMUTABLE
    open_end = client.get(path, params={**query, "at_evaluation": 24})
    assert open_end.json()["num_evaluations"] < 24
    assert open_end.headers["cache-control"] == "private, no-cache"
    searches.work_off(engine, search_id)
    late = client.get(path, params=query)
    assert late.content == early.content
    assert late.headers["etag"] == early.headers["etag"]
    assert late.json()["history"][-1]["num_evaluations"] <= 8
    assert client.get(path, params=query, headers={"If-None-Match": early.headers["etag"]}).status_code == 304
    assert client.get(path, params={"stage": "search"}).headers["cache-control"] == "private, no-cache"


def test_latencies_of_another_device(client, engine, finished):
    """Two searches of one space and seed on two devices: each front can be read with latencies of the other's."""
    with unit_of_work(engine) as session:
        devices.register(session, name="edge-cpu", runtimes=["onnxruntime"], fingerprint={"cores": 1})
        devices.register(session, name="idle-cpu", runtimes=["onnxruntime"], fingerprint={"cores": 1})
    first = f"/v1/searches/{finished['id']}/front"
    for stage, what in (("search", "an estimator"), ("final", "measurements")):
        refused = client.get(first, params={"stage": stage, "device": "edge-cpu"})
        assert refused.status_code == 422
        assert refused.json()["detail"].endswith(f"devices with {what}: local-cpu")
    latency = {"metric": "latency_ms", "device": "edge-cpu"}
    both = {member["architecture_hash"] for member in client.get(first).json()["members"]}
    choices = [client.get(f"/v1/architectures/{name}").json()["choices"] for name in sorted(both)]
    body = {
        **SEARCH,
        "objectives": [ACCURACY, {"metric": "macs"}, latency],
        "strategy": {"name": "fixed", "params": {"architectures": choices}},
        "budget": {"trials": len(choices)},
    }
    other = client.post("/v1/searches", json=body).json()["id"]
    searches.work_off(engine, other)

    own = client.get(first, params={"stage": "search"}).json()
    assert (own["device"], own["latency_is"]) == ("local-cpu", "predicted")
    there = client.get(first, params={"stage": "search", "device": "edge-cpu"}).json()
    assert (there["device"], there["latency_is"]) == ("edge-cpu", "predicted")
    assert [member["id"] for member in there["members"]] == [member["id"] for member in own["members"]]
    assert there["hypervolume"] == own["hypervolume"]  # latency is no axis of this search

    final = client.get(f"/v1/searches/{other}/front").json()
    assert (final["device"], final["latency_is"]) == ("edge-cpu", "measured")
    moved = client.get(f"/v1/searches/{other}/front", params={"device": "local-cpu"}).json()
    assert moved["hypervolume"] is None
    assert moved["history"] == []
    assert moved["members"]
    assert {member["architecture_hash"] for member in moved["members"]} <= both
    assert all(member["latency_ms"] > 0 for member in moved["members"])
    assert client.get(first, params={"device": "idle-cpu"}).status_code == 422


def test_a_data_set_is_previewed(client, home):
    DatasetStore(home / "artifacts" / DATASETS_FOLDER).write(searches.digits())
    dataset = client.get("/v1/datasets").json()["items"][0]
    answer = client.get(f"/v1/datasets/{dataset['id']}/preview?split=select&count=16")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    assert client.get(f"/v1/datasets/{dataset['id']}/preview?split=all").status_code == 422
    samples = client.get(f"/v1/datasets/{dataset['id']}/samples?split=select&count=10").json()["items"]
    assert [sample["label"] for sample in samples] == [str(digit) for digit in range(10)]
    assert all(sample["text"] is None for sample in samples)


def test_methods_list_what_requests_may_name(client):
    found = client.get("/v1/methods").json()
    assert {"nsga2", "random"} <= {item["name"] for item in found["strategies"]}
    assert all(item["help"] and item["parameters"]["type"] == "object" for item in found["strategies"])
    assert client.get("/v1/meta").json()["version"]


def test_exports_are_downloaded_and_resumed(client, app, engine, finished, home, tmp_path):
    member = client.get(f"/v1/searches/{finished['id']}/front").json()["members"][0]
    made = client.post("/v1/exports", json={"trial_id": member["id"]})
    assert made.status_code == 202
    export = made.json()
    assert client.post("/v1/exports", json={"trial_id": member["id"]}).json()["id"] == export["id"]
    assert client.get(f"/v1/exports/{export['id']}/files/model.safetensors").status_code == 409
    folder = home / "artifacts" / "exports" / export["id"] / "1"
    folder.mkdir(parents=True)
    content = bytes(range(256)) * 1000
    (folder / "model.safetensors").write_bytes(content)
    (folder / "unlisted.txt").write_text("x")
    (folder / "link.json").symlink_to("/etc/passwd")
    digest = hashlib.sha256(content).hexdigest()
    files = [
        {"name": "model.safetensors", "size_bytes": len(content), "sha256": digest},
        {"name": "link.json", "size_bytes": 1, "sha256": digest},
    ]
    with unit_of_work(engine) as session:
        exports.set_ready(session, export["id"], path=f"exports/{export['id']}/1", files=files, parity={})
    base = f"/v1/exports/{export['id']}/files"
    whole = client.get(f"{base}/model.safetensors")
    assert whole.content == content
    assert whole.headers["etag"] == f'"{digest}"'
    assert whole.headers["content-disposition"].startswith("attachment")
    part = client.get(f"{base}/model.safetensors", headers={"Range": "bytes=1000-", "If-Range": f'"{digest}"'})
    assert part.status_code == 206
    assert part.content == content[1000:]
    assert client.head(f"{base}/model.safetensors").headers["content-length"] == str(len(content))
    assert client.get(f"{base}/model.safetensors", headers={"Range": "bytes=999999999-"}).status_code == 416
    for name in ("unlisted.txt", "link.json", "manifest.json"):
        assert client.get(f"{base}/{name}").status_code == 404
    assert [item["id"] for item in client.get(f"/v1/searches/{finished['id']}/exports").json()["items"]] == [
        export["id"]
    ]

    with api.served(app) as url, Client(url, api.new_key(engine)) as nas:
        ready = nas.wait_for_export(export["id"], timeout_s=10)
        ready["files"] = ready["files"][:1]
        (tmp_path / "model.safetensors.part").write_bytes(content[:5000])
        (path,) = nas.download(ready, tmp_path)
        assert path.read_bytes() == content


def test_events_as_json_and_as_a_stream(client, app, engine, finished):
    path = f"/v1/searches/{finished['id']}/events"
    everything = client.get(path, params={"limit": 1000}).json()
    seqs = [event["seq"] for event in everything["items"]]
    assert seqs == sorted(set(seqs))
    assert everything["last_seq"] == seqs[-1]
    assert everything["items"][0]["type"] == "search.created"
    assert client.get(path, params={"after": seqs[-1]}).json() == {"items": [], "last_seq": seqs[-1]}
    stream = {"Accept": "text/event-stream"}
    middle = seqs[len(seqs) // 2]
    text = client.get(path, headers={**stream, "Last-Event-ID": str(middle)}).text
    ids = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
    assert ids == [seq for seq in seqs if seq > middle]
    assert client.get(path, headers={**stream, "Last-Event-ID": str(seqs[-1])}).status_code == 204
    assert client.get(path, headers={**stream, "Last-Event-ID": "x"}).status_code == 422

    with api.served(app) as url, Client(url, api.new_key(engine)) as nas:
        created = nas.create_search({**SEARCH, "seed": 11, "finalists": {"count": 1}})
        seen: list[dict] = []
        follower = threading.Thread(target=lambda: seen.extend(nas.events(created["id"])))
        follower.start()
        searches.work_off(engine, created["id"])
        follower.join(timeout=30)
        assert not follower.is_alive()
        stored = nas.get(f"/v1/searches/{created['id']}/events", limit=1000)["items"]
        assert seen == stored
        with pytest.raises(ApiError) as caught:
            nas.search("srch_" + "0" * 32)
        assert caught.value.status == 404


def test_streams_of_one_key_are_limited(app, engine):
    import httpx

    key = api.new_key(engine)
    with api.served(app) as url, Client(url, key) as nas:
        created = nas.create_search({**SEARCH, "seed": 12})
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        limits = httpx.Limits(max_connections=20)
        with httpx.Client(base_url=url, headers=headers, timeout=10, limits=limits) as http:
            path = f"/v1/searches/{created['id']}/events"
            opened = [http.send(http.build_request("GET", path), stream=True) for _ in range(10)]
            assert {answer.status_code for answer in opened} == {200}
            assert http.get(path).status_code == 429
            for answer in opened:
                answer.close()
            nas.post(f"/v1/searches/{created['id']}/cancel")
            assert json.loads(http.get(path, headers={"Accept": "application/json"}).text)["items"]
