"""`nas config show`: every setting, where it is from, and no secret."""

from __future__ import annotations

from dataclasses import fields

import pytest

from nas_service.cli.config import settings_in_force
from nas_service.cli.connection import save_credentials, service_address
from nas_service.settings import Settings

KEY = "nas_" + "0a" * 16 + "_" + "abc_def-" * 5 + "xyz"


def shown(environ) -> dict[str, tuple[object, str]]:
    return {row["setting"]: (row["value"], row["origin"]) for row in settings_in_force(environ)}


def test_origins(tmp_path):
    environ = {"NAS_HOME": str(tmp_path), "NAS_PORT": "9000", "NAS_ALLOWED_HOSTS": "b.example,a.example"}
    found = shown(environ)
    assert set(found) == {f"NAS_{field.name.upper()}" for field in fields(Settings)} | {"NAS_URL", "NAS_API_KEY"}
    assert found["NAS_PORT"] == (9000, "environment")
    assert found["NAS_ALLOWED_HOSTS"] == ("a.example,b.example", "environment")
    assert found["NAS_LEASE_S"] == (30.0, "default")
    assert found["NAS_URL"] == ("http://127.0.0.1:9000", "default")
    assert found["NAS_API_KEY"] == (None, "default")
    settings = Settings.from_environment(environ)
    save_credentials(settings, "http://127.0.0.1:9001", KEY)
    save_credentials(settings, "http://127.0.0.1:9002", None)  # it was started on another port
    found = shown(environ)
    assert found["NAS_URL"] == ("http://127.0.0.1:9002", f"file {tmp_path / 'cli.json'}")
    assert found["NAS_API_KEY"] == (f"{KEY[:37]}***", f"file {tmp_path / 'cli.json'}")
    assert service_address(settings, environ).key == KEY
    assert shown({**environ, "NAS_URL": "http://elsewhere"})["NAS_URL"] == ("http://elsewhere", "environment")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p4ss@db/nas",
        "postgresql://u:p4ss@x/y@db:5432/nas?sslmode=require",
        "postgresql://db/nas?user=u&password=p4ss&sslmode=require",
    ],
)
def test_no_secret_is_shown(tmp_path, url):
    environ = {"NAS_HOME": str(tmp_path), "NAS_DATABASE_URL": url, "NAS_API_KEY": "p4ss"}
    found = shown(environ)
    assert "p4ss" not in str(found)
    assert "db" in str(found["NAS_DATABASE_URL"])
    assert found["NAS_API_KEY"] == ("***", "environment")
