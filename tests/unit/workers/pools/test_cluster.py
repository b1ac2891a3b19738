"""When the head of a cluster counts as dead, what a cluster has, and which of it are devices."""

from __future__ import annotations

import logging

import pytest

from nas_service.storage import devices
from nas_service.storage.session import run_in_transaction, unit_of_work
from workers import head_watch
from workers.attached import Attached, attached_devices, free_gpus
from workers.devices import register_attached, register_local
from workers.head_watch import HeadWatch, living_resources

ALIVE = {"Alive": True, "Resources": {"CPU": 2.0, "device:pi5": 1.0}}


@pytest.fixture
def watch():
    head = HeadWatch(lambda: [ALIVE])
    head.leave()
    return head


def test_a_silent_head_is_suspected_before_it_counts_as_dead(watch):
    silence_s = head_watch.SILENCE_S + 60.0  # as after this process was stopped for a minute
    watch.check()
    answered = watch._answered
    watch._answered -= silence_s
    watch.check()
    watch._answered = answered
    watch.check()
    assert watch._suspected is None
    watch._answered -= silence_s
    watch.check()
    watch._suspected -= head_watch.GRACE_S + 1.0
    with pytest.raises(RuntimeError, match="has not answered"):
        watch.check()
    watch.resources = living_resources([{**ALIVE, "Alive": False}])
    with pytest.raises(RuntimeError, match="every node"):
        watch.check()


def test_what_a_cluster_has_is_what_living_nodes_have():
    nodes = [ALIVE, {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}, {**ALIVE, "Alive": False}]
    assert living_resources(nodes) == {"CPU": 6.0, "GPU": 1.0, "device:pi5": 1.0}


def test_devices_are_named_by_resources(caplog):
    names = ["CPU", "node:10.0.0.1", "accelerator_type:T4", "device:pi5", "device:t4:cuda", "device:box.2:cpu"]
    found = attached_devices(names)
    assert set(found) == {
        Attached("device:pi5", "pi5", "cpu"),
        Attached("device:t4:cuda", "t4", "cuda"),
        Attached("device:box.2:cpu", "box.2", "cpu"),
    }
    assert not caplog.records
    assert free_gpus({"GPU": 3.0}, found) == 2
    assert free_gpus({"CPU": 3.0}, []) == 0


@pytest.mark.parametrize("name", ["device:", "device:local-cpu", "device:a b", "device:pi5:tpu", "device:" + 65 * "a"])
def test_a_resource_that_names_no_device_is_left_out_with_a_word(name, caplog):
    with caplog.at_level(logging.WARNING):
        assert attached_devices([name, "device:pi5"]) == [Attached("device:pi5", "pi5", "cpu")]
    assert [record.args[0] for record in caplog.records] == [name]


def test_one_name_is_one_device(caplog):
    with caplog.at_level(logging.WARNING):
        assert [one.resource for one in attached_devices(["device:a:cuda", "device:a"])] == ["device:a"]
    assert "device:a:cuda is left out" in caplog.text


def test_devices_are_registered_with_their_machine_and_resource(engine):
    run_in_transaction(engine, lambda session: register_local(session, has_cuda=True))
    machines = {"device:pi5": {"id": "a", "cpu_model": "Cortex"}, "device:t4:cuda": {"id": "b"}}
    run_in_transaction(engine, lambda session: register_attached(session, machines))
    with unit_of_work(engine) as session:
        assert devices.get(session, "pi5").fingerprint == {
            "id": "a", "cpu_model": "Cortex", "processor": "cpu", "resource": "device:pi5"
        }  # fmt: skip
        assert devices.get(session, "t4").fingerprint["processor"] == "cuda"
        assert devices.get(session, "t4").runtimes == ["torch"]
        assert "resource" not in devices.get(session, "local-cuda").fingerprint
