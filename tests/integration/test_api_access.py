"""Access on the real application: no route is open, hosts are known, sessions and keys begin and end."""

import pytest
from starlette.routing import Mount

from nas_service.api.auth import is_public, scope_for
from nas_service.app import build_api, create_app
from nas_service.settings import Settings
from nas_service.storage import jobs
from nas_service.storage.session import unit_of_work
from tests.support import api
from tests.support.rows import add_search


@pytest.fixture(scope="module")
def app(database_url, tmp_path_factory):
    return api.app_on(database_url, tmp_path_factory.mktemp("home"))


def walk(routes, prefix=""):
    """Every (method, path) of an application, with ids filled in."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        if isinstance(route, Mount):
            yield "GET", path + "/index.js"
            continue
        if hasattr(route, "original_router"):
            yield from walk(route.original_router.routes, path)
            continue
        for method in route.methods or {"GET"}:
            yield method, path


def paths_of_document():
    for path, operations in build_api().openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path


def test_no_route_is_open_without_a_key(app):
    client = api.client_of(app)
    found = {*walk(build_api().routes), *paths_of_document()}
    assert len(found) > 45
    for method, template in sorted(found):
        path = template.replace("{search_id}", "srch_" + "0" * 32).replace("{", "x").replace("}", "x")
        answer = client.request(method, path, follow_redirects=False)
        if is_public(method, path):
            assert answer.status_code != 401 or path == "/v1/session", (method, path)
        else:
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"


def test_the_public_list_is_short():
    public = {(method, path) for method, path in paths_of_document() if is_public(method, path)}
    assert public == {("GET", "/livez"), ("GET", "/readyz"), ("POST", "/v1/session")}


def test_readers_change_nothing(app, engine):
    client = api.client_of(app, api.new_key(engine, "search:read"))
    for method, path in paths_of_document():
        if method != "GET" and path != "/v1/session":
            answer = client.request(method, path.replace("{", "x").replace("}", "x"), json={})
            assert answer.status_code == 403, (method, path)
    assert client.get("/v1/searches").status_code == 200
    assert client.get("/v1/keys").status_code == 403
    assert client.get("/v1/exports/x/files/y").status_code == 403


ROLES = {"search:read", "search:write", "artifact:read", "admin"}


def test_every_role_may_do_what_its_scope_says_and_nothing_else(database_url, engine, tmp_path):
    """The matrix of roles and operations: 403 exactly where the table of scopes asks for another scope."""
    app = api.patient_app_on(database_url, tmp_path)
    needed_scopes = set()
    for role in sorted(ROLES):
        client = api.client_of(app, api.new_key(engine, role))
        for method, path in sorted(paths_of_document()):
            if is_public(method, path) or path == "/v1/session":
                continue
            needed = scope_for(method, path)
            needed_scopes.add(needed)
            answer = client.request(method, path.replace("{", "x").replace("}", "x"), json={})
            allowed = role in (needed, "admin")
            assert (answer.status_code != 403) == allowed, (role, method, path, answer.status_code)
            assert answer.status_code < 500, (role, method, path, answer.text)
    assert needed_scopes == ROLES


def test_hosts_and_health(app):
    client = api.client_of(app)
    assert client.get("/livez").json() == {"status": "ok", "checks": {}}
    assert client.get("/readyz").json()["checks"] == {"database": "ok", "schema": "ok"}
    assert client.get("/readyz", headers={"Host": "evil.example"}).status_code == 421


def test_the_operator_names_further_hosts(database_url, tmp_path):
    given = {"NAS_HOME": str(tmp_path), "NAS_DATABASE_URL": database_url, "NAS_ALLOWED_HOSTS": "nas.lab, API"}
    client = api.client_of(create_app(Settings.from_environment(given)))
    assert client.get("/livez", headers={"Host": "nas.lab:8000"}).status_code == 200
    assert client.get("/livez", headers={"Host": "api"}).status_code == 200
    assert client.get("/livez", headers={"Host": "lab"}).status_code == 421


def test_guessing_keys_is_slowed(database_url, tmp_path):
    client = api.client_of(api.app_on(database_url, tmp_path))
    answers = [client.post("/v1/session", json={"key": f"nas_{n}"}) for n in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert answers[-1].headers["retry-after"]


def test_pages_are_public_and_strict(app):
    client = api.client_of(app)
    assert client.get("/", follow_redirects=False).status_code in (200, 307)
    answer = client.get("/ui/searches/anything?stage=final&x=macs")
    assert answer.status_code in (200, 404)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert client.get("/ui/assets/..%2f..%2fapp.py").status_code in (200, 404)
    assert "create_app" not in client.get("/ui/assets/..%2f..%2fapp.py").text


def test_a_session_begins_and_ends(app, engine):
    key = api.new_key(engine, "search:read", "search:write")
    client = api.client_of(app)
    assert client.post("/v1/session", json={"key": key + "x"}).status_code == 401
    answer = client.post("/v1/session", json={"key": key})
    assert answer.status_code == 200
    assert answer.json()["scopes"] == ["search:read", "search:write"]
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert key not in cookie
    assert client.get("/v1/session").json()["name"] == "tester"
    assert client.get("/v1/searches").status_code == 200
    assert client.delete("/v1/session", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    old = client.cookies.get("nas_session")
    assert client.delete("/v1/session").status_code == 204
    fresh = api.client_of(api.app_on(app_url(engine), None), None)
    assert fresh.get("/v1/session", headers={"Cookie": f"nas_session={old}"}).status_code == 401


def app_url(engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_keys_are_made_once_shown_once_and_revoked(app, engine, tmp_path):
    admin = api.client_of(app, api.new_key(engine))
    made = admin.post("/v1/keys", json={"name": "ci", "scopes": ["search:read"]}).json()
    other = api.client_of(app, made["key"])
    assert other.get("/v1/session").json()["name"] == "ci"
    listed = admin.get("/v1/keys").text
    assert made["id"] in listed
    assert made["key"].split("_", 2)[2] not in listed
    assert admin.delete(f"/v1/keys/{admin.get('/v1/session').json()['id']}").status_code == 409
    assert admin.delete(f"/v1/keys/{made['id']}").status_code == 204
    assert admin.delete(f"/v1/keys/{made['id']}").status_code == 404
    # Another process knows at once; this one within the seconds it remembers.
    assert api.client_of(api.app_on(app_url(engine), tmp_path), made["key"]).get("/v1/session").status_code == 401
    for wrong in ({"name": "x", "scopes": []}, {"name": "x", "scopes": ["root"]}, {"scopes": ["admin"]}):
        assert admin.post("/v1/keys", json=wrong).status_code == 422


def test_wrong_requests_are_problems(app, engine):
    client = api.client_of(app, api.new_key(engine))
    for method, path, status in (
        ("GET", "/v1/nowhere", 404),
        ("PUT", "/v1/searches", 405),
        ("GET", "/v1/searches?wrong=1", 400),
        ("GET", "/v1/searches?page_size=1&page_size=2", 400),
        ("GET", "/v1/searches?page_token=abc", 400),
        ("GET", "/v1/searches?page_size=0", 422),
        ("GET", "/v1/searches?page_size=99999999999999999999", 422),
        ("GET", "/v1/searches/srch_1", 422),
        ("GET", "/v1/searches/srch_" + "0" * 32, 404),
        ("GET", "/v1/trials/tri_" + "0" * 32, 404),
        ("GET", "/v1/architectures/arc_" + "0" * 32, 404),
        ("GET", "/v1/exports/exp_" + "0" * 32, 404),
        ("GET", "/v1/exports/exp_" + "0" * 32 + "/files/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/v1/exports/exp_" + "0" * 32 + "/files/%252e%252e", 422),
        ("GET", "/v1/supernets/sup_" + "0" * 32 + "/curves", 404),
        ("POST", "/v1/searches/srch_" + "0" * 32 + "/pause", 404),
        ("GET", "/v1/searches/srch_" + "0" * 32 + "/events?after=9223372036854775808", 422),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["status"] == status
        assert body["request_id"] == answer.headers["x-request-id"]
    assert client.put("/v1/searches").headers["allow"] == "GET, HEAD, POST"
    assert client.put("/v1/session").headers["allow"] == "DELETE, GET, HEAD, POST"


def test_head_is_get_without_its_text(app, engine):
    client = api.client_of(app, api.new_key(engine))
    found = 0
    for method, template in sorted({*walk(build_api().routes), *paths_of_document()}):
        path = template.replace("{search_id}", "srch_" + "0" * 32).replace("{", "x").replace("}", "x")
        if method == "GET" and path != "/metrics":  # its text, and so its length, changes with every request
            read = client.get(path, follow_redirects=False)
            head = client.head(path, follow_redirects=False)
            assert (head.status_code, head.content) == (read.status_code, b""), path
            differing = {"x-request-id", "ratelimit", "content-length"}  # a problem's text names its request
            differing -= {"content-length"} if read.is_success else set()
            kept = {name: text for name, text in read.headers.items() if name not in differing}
            assert kept == {name: head.headers[name] for name in kept}, path
            found += 1
    assert found > 30
    tag = client.get("/v1/methods").headers["etag"]
    assert client.head("/v1/methods", headers={"If-None-Match": tag}).status_code == 304
    assert client.head("/v1/search-plans").status_code == 405


def test_metrics_count_requests(app, engine):
    client = api.client_of(app, api.new_key(engine, "search:read"))
    client.get("/v1/searches")
    text = client.get("/metrics").text
    assert 'nas_http_requests_total{method="GET",route="/v1/searches",status="200"}' in text
    assert "nas_queue_oldest_age_seconds 0.0" in text
    assert 'nas_http_request_duration_seconds_bucket{le="0.5",route="/v1/searches"}' in text


def test_metrics_tell_of_queue_and_leases(app, engine, empty_tables):
    client = api.client_of(app, api.new_key(engine, "search:read"))
    before = client.get("/metrics").text
    assert 'nas_queue_depth{kind="evaluate"} 0.0' in before
    assert "nas_leases_expired 0.0" in before
    with unit_of_work(engine) as session:
        search_id = add_search(session)
        for n in range(3):
            jobs.enqueue(session, kind="evaluate", dedup_key=f"metrics-{n}", payload={}, search_id=search_id)
    jobs.claim(engine, "worker", limit=1, lease_s=-5)
    text = client.get("/metrics").text
    assert 'nas_queue_depth{kind="evaluate"} 2.0' in text
    assert 'nas_jobs{kind="evaluate",state="running"} 1.0' in text
    assert 'nas_searches{state="running"} 1.0' in text
    assert "nas_leases_expired 1.0" in text
    value = next(line.split()[1] for line in text.splitlines() if line.startswith("nas_lease_oldest_age_seconds "))
    assert 0 < float(value) < 60
    waited = next(line.split()[1] for line in text.splitlines() if line.startswith("nas_queue_oldest_age_seconds "))
    assert 0 < float(waited) < 60


def test_without_a_database_the_answer_is_503(tmp_path):
    app = api.app_on("postgresql+psycopg://nobody@127.0.0.1:1/none", tmp_path)
    client = api.client_of(app, "nas_" + "0" * 32 + "_" + "a" * 43)
    assert client.get("/livez").status_code == 200
    for path in ("/readyz", "/v1/searches"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert answer.json()["code"] == "unavailable"
