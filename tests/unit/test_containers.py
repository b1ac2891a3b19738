"""Dockerfile and compose file against the code: commands that exist, settings that are read, nothing open."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from typer.main import get_command

from nas_service.cli.main import app
from nas_service.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OWN = [name for name, service in SERVICES.items() if "build" in service]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def settings_read() -> set[str]:
    """The variables that `Settings` reads."""
    return {f"NAS_{field.name.upper()}" for field in dataclasses.fields(Settings)}


def exists(command: list[str]) -> bool:
    if command[0] == "nas":
        nas = get_command(app)
        return command[1] in nas.list_commands(typer.Context(nas))  # type: ignore[attr-defined]
    if command[:2] == ["python", "-m"]:
        return importlib.util.find_spec(command[2]) is not None
    return command[:2] == ["ray", "start"]


@pytest.mark.parametrize("name", OWN)
def test_every_part_runs_a_command_that_exists(name):
    assert exists(SERVICES[name]["command"])


def test_the_images_own_command_exists():
    (command,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert exists(yaml.safe_load(command))


def test_every_variable_is_one_that_is_read():
    given = {name for service in OWN for name in SERVICES[service]["environment"] if name.startswith("NAS_")}
    given |= set(re.findall(r"\b(NAS_\w+)=", DOCKERFILE))
    assert given <= settings_read()
    assert {"NAS_HOME", "NAS_DATABASE_URL", "NAS_RAY_ADDRESS"} <= given
    for name in OWN:
        values = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
        values["NAS_DATABASE_URL"] = values["NAS_DATABASE_URL"].replace("${NAS_DB_PASSWORD:?set NAS_DB_PASSWORD}", "x")
        found = Settings.from_environment(values)
        assert str(found.home) == SERVICES[name]["volumes"][0].partition(":")[2]  # the store that all parts share
        assert found.ray_address == "ray-head:6379"


def test_secrets_come_from_outside_and_ports_stay_on_this_machine():
    text = (ROOT / "docker-compose.yml").read_text()
    for secret in ("NAS_DB_PASSWORD", "RAY_AUTH_TOKEN"):
        assert f"${{{secret}:?" in text
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert all(SERVICES[name]["environment"]["RAY_AUTH_MODE"] == "token" for name in OWN)


def test_parts_wait_for_what_they_need():
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], needed
    assert SERVICES["api"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    volumes = {volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert volumes == set(COMPOSE["volumes"])


def test_the_image_copies_what_there_is_and_does_not_run_as_root():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    for stage in stages:
        for line in re.findall(r"^COPY (?!--from)(.*)$", stage, re.MULTILINE):
            for source in shlex.split(line)[:-1]:
                assert (ROOT / source).exists(), source
    assert re.search(r"^USER nas$", stages[-1], re.MULTILINE)
