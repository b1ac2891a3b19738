"""Settings: defaults, what the environment overrides, and errors that name the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_service.errors import InvalidInput
from nas_service.settings import Settings


def test_defaults_and_empty_variables():
    settings = Settings.from_environment({"NAS_PORT": "", "NAS_HOME": "/srv/nas"})
    assert settings == Settings(home=Path("/srv/nas"))
    assert settings.artifacts == Path("/srv/nas/artifacts")
    assert (settings.host, settings.database_url) == ("127.0.0.1", None)


def test_the_environment_overrides():
    settings = Settings.from_environment(
        {"NAS_DATABASE_URL": "postgres://u:secret@db/nas", "NAS_PORT": "9000", "NAS_LEASE_S": "6", "NAS_RENEW_S": "2"}
    )
    assert settings.database_url == "postgresql+psycopg://u:secret@db/nas"
    assert (settings.port, settings.lease_s, settings.renew_s) == (9000, 6.0, 2.0)
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    "variables",
    [
        {"NAS_PORT": "http"},
        {"NAS_PORT": "70000"},
        {"NAS_DATABASE_URL": "sqlite:///x"},
        {"NAS_RENEW_S": "40"},
        {"NAS_RENEW_S": "nan"},
        {"NAS_RENEW_S": "0"},
    ],
)
def test_a_wrong_variable_is_named(variables):
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment(variables)
    assert caught.value.problems[0].pointer in variables
