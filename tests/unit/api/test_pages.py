"""The pages with and without their built files: where the root leads, and what it says where it leads nowhere."""

from fastapi import FastAPI
from starlette.testclient import TestClient

from nas_service.api import pages


def client_of(folder) -> TestClient:
    app = FastAPI()
    pages.install(app, folder)
    return TestClient(app, follow_redirects=False)


def test_the_root_leads_to_the_dashboard(tmp_path):
    (tmp_path / "index.html").write_text("<title>NAS</title>")
    client = client_of(tmp_path)
    for path in ("/", "/ui"):
        assert client.get(path).headers["location"] == "/ui/"
    for path in ("/ui/", "/ui/searches/srch_1"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (200, "<title>NAS</title>")
        assert answer.headers["cache-control"] == "no-cache"


def test_without_built_files_it_says_how_to_build_them(tmp_path):
    client = client_of(tmp_path)
    for path, status in (("/", 200), ("/ui", 200), ("/ui/", 404), ("/ui/searches/srch_1", 404)):
        answer = client.get(path)
        assert answer.status_code == status
        assert "npm run build" in answer.text
