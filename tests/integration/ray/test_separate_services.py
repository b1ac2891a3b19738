"""The parts as docker-compose.yml starts them: `nas migrate`, `nas serve`, dispatcher, a Ray head and a second node.

Each node has one CPU, so that the supernet, trained by two workers, is trained on both. The second joins when the
dispatcher is at work, and is a device: it may use one core only, by which what was measured there is known.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nas_service.client import Client
from nas_service.storage import keys
from nas_service.storage.doctor import examine
from nas_service.storage.session import make_engine, unit_of_work
from tests.support.api import free_port
from tests.support.parts import PATIENCE_S, is_ready, started, wait_until

RAY = str(Path(sys.executable).with_name("ray"))


def node_address() -> str:
    """This machine's own address: Ray nodes join by it, not by loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the kernel picks the interface
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_over_separately_started_parts(database_url: str, tmp_path: Path) -> None:
    address, ray_port, port = node_address(), free_port(), free_port()
    environment = {
        "NAS_HOME": str(tmp_path / "home"),
        "NAS_DATABASE_URL": database_url.replace("postgresql+psycopg://", "postgresql://"),
        "NAS_RAY_ADDRESS": f"{address}:{ray_port}",
        "NAS_PORT": str(port),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    logs = {name: tmp_path / f"{name}.log" for name in ("head", "node", "api", "dispatcher")}
    module = [sys.executable, "-m"]
    subprocess.run(
        [*module, "nas_service.cli.main", "migrate"], env={**os.environ, **environment}, check=True, timeout=120
    )
    engine = make_engine(database_url)
    with unit_of_work(engine) as session:
        key = keys.create_key(session, "test", ["admin"]).token
    head = [RAY, "start", "--head", f"--port={ray_port}", f"--node-ip-address={address}", "--num-cpus=1"]
    on_one_core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
    node = [*on_one_core, RAY, "start", f"--address={address}:{ray_port}", "--num-cpus=1", "--block"]
    node += ["--resources", '{"device:edge": 1}']
    url = f"http://127.0.0.1:{port}"
    with (
        started([*head, "--include-dashboard=false", "--block"], logs["head"], environment),
        started([*module, "nas_service.cli.main", "serve"], logs["api"], environment),
    ):
        wait_until(lambda: has_joined(logs["head"]), logs["head"])
        wait_until(lambda: is_ready(url), logs["api"])
        with (
            started([*module, "workers.dispatch"], logs["dispatcher"], environment) as dispatcher,
            started(node, logs["node"], environment),
            Client(url, key) as nas,
        ):
            wait_until(lambda: "edge" in {device["name"] for device in nas.pages("/v1/devices")}, logs["dispatcher"])
            created = nas.create_search(
                {
                    "name": "separate parts",
                    "space": {"library": "digits-mobile"},
                    "dataset": "digits",
                    "objectives": [
                        {"metric": "accuracy_top1"},
                        {"metric": "latency_ms", "device": "edge", "runtime": "onnxruntime"},
                    ],
                    "evaluator": {
                        "recipe": {"name": "sandwich", "params": {"num_steps": 60, "workers": 2, "accumulation": 2}}
                    },
                    "budget": {"trials": 16},
                    "finalists": {"count": 3},
                }
            )
            search = nas.wait(created["id"], timeout_s=PATIENCE_S)
            assert search["state"] == "succeeded", logs["dispatcher"].read_text()[-2000:]
            members = nas.front(search["id"])["members"]
            assert members
            (edge,) = [device for device in nas.pages("/v1/devices") if device["name"] == "edge"]
            made = list(nas.measurements(search["id"]))
            assert {one["device_id"] for one in made} == {edge["id"]}
            assert {one["protocol"]["fingerprint"]["num_usable_cores"] for one in made} == {1}, "measured elsewhere"
            assert dispatcher.poll() is None
    assert examine(engine, tmp_path / "home" / "artifacts") == []
    engine.dispose()


def has_joined(log: Path) -> bool:
    return "Ray runtime started" in log.read_text(errors="replace")


POOL = """
import json, sys, time
from pathlib import Path
import ray
from workers.pool import RayPool

pool = RayPool(Path(sys.argv[1]), "marker", address=sys.argv[2])
for want in sys.stdin:
    deadline = time.monotonic() + 120
    while [pool.num_free, pool.num_slots, len(pool.devices)] != json.loads(want):
        assert time.monotonic() < deadline, [pool.num_free, pool.num_slots, pool.devices]
        pool.poll(0.2)
    found = {"device": pool.device, "largest_group": pool.largest_group, "devices": list(pool.devices)}
    pool.reserve(pool.devices)
    found["held_up"] = pool.num_slots - pool.num_free
    for worker in pool._workers:
        worker.host += "" if worker.attached else " and another"
    found["held_up_elsewhere"] = pool.num_slots - pool.num_free
    for worker in pool._workers:
        worker.host = worker.host.removesuffix(" and another")
    pool.reserve([])
    try:
        pool.submit("job_x", 1, "measure", {"resource": "device:pi5"})
    except RuntimeError as error:
        found["refused"] = str(error)
    print("found " + json.dumps({**found, "gpus_left": ray.available_resources().get("GPU", 0)}), flush=True)
pool.close()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_gpus_are_slots_an_attached_one_is_none_and_a_node_takes_both_along(tmp_path: Path) -> None:
    """Ray takes the GPUs that a node says it has for given, which shows who gets them without there being any."""
    address, ray_port = node_address(), free_port()
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    head = [RAY, "start", "--head", f"--port={ray_port}", f"--node-ip-address={address}", "--num-cpus=1"]
    head += ["--num-gpus=1", "--include-dashboard=false", "--block"]
    node = [RAY, "start", f"--address={address}:{ray_port}", "--num-cpus=1", "--num-gpus=2", "--block"]
    node += ["--resources", '{"device:t4:cuda": 1}']
    with started(head, tmp_path / "head.log", environment):
        wait_until(lambda: has_joined(tmp_path / "head.log"), tmp_path / "head.log")
        pool = subprocess.Popen(
            [sys.executable, "-c", POOL, str(tmp_path), f"{address}:{ray_port}"],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def found_when(free: int, slots: int, num_devices: int) -> dict[str, object]:
            assert pool.stdin
            assert pool.stdout
            pool.stdin.write(json.dumps([free, slots, num_devices]) + "\n")
            pool.stdin.flush()
            said = next((line for line in pool.stdout if line.startswith("found ")), None)  # Ray says things too
            assert said is not None, "the pool has ended"
            return json.loads(said.removeprefix("found "))

        try:
            assert found_when(1, 1, 0)["largest_group"] == 1
            with started(node, tmp_path / "node.log", environment):
                assert found_when(2, 2, 1) == {
                    "device": "cuda:0",
                    "largest_group": 2,
                    "devices": ["device:t4:cuda"],
                    "held_up": 2,  # while one measures on it nothing begins on this machine, of which both nodes are
                    "held_up_elsewhere": 0,
                    "refused": "1 slots are needed, 0 are free",
                    "gpus_left": 0,
                }
            assert found_when(1, 1, 0)["largest_group"] == 2  # two may come again
            with started(node, tmp_path / "node.log", environment):
                assert found_when(2, 2, 1)["gpus_left"] == 0
        finally:
            pool.kill()
            pool.wait()
