"""The body that a container is created with, whole, for tasks that stand for many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tork.errors import RuntimeFailure
from tork.task import AuxTask, Limits, TaskDefinition
from torkd.runtime.containers.container_config import Published, Share, check_share, container_config
from torkd.runtime.containers.differences import DOCKER, PODMAN
from torkd.runtime.containers.networks import Attachment

TORK = {"Type": "bind", "Source": "/runs/r1/main", "Target": "/tork"}
VOLUME = {"Type": "volume", "Source": "v", "Target": "/data"}
OURS = ["TORK_OUTPUT=/tork/stdout", "TORK_PROGRESS=/tork/progress"]
PLAIN = Share(labels={"torkd.run": "r1"}, mounts=[], limits=None, gpus="", privileged=False, differences=DOCKER)
NOWHERE = Attachment(host_config={}, config={}, connections=())
HOST = {"Mounts": [TORK], "LogConfig": DOCKER.log_config, "Init": False, "Privileged": False}
BODY = {"Image": "bb:latest", "Env": OURS, "Labels": {"torkd.run": "r1", "torkd.step": "main"}, "HostConfig": HOST}


def body(step: TaskDefinition | AuxTask, share: Share = PLAIN, **keys: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"tork": TORK, "workdir": "", "attachment": NOWHERE, "with_init": True}
    return container_config(step, "main", share, **{**chosen, **keys})


def host(**keys: object) -> dict[str, object]:
    return {**HOST, **keys}


@pytest.mark.parametrize(
    ("step", "more"),
    [
        pytest.param(TaskDefinition(image="bb"), {}, id="the image alone"),
        pytest.param(
            TaskDefinition(image="bb", run="x"),
            {"Entrypoint": ["sh", "-c"], "Cmd": ["/tork/entrypoint"], "HostConfig": host(Init=True)},
            id="a script, which gets an init process",
        ),
        pytest.param(TaskDefinition(image="bb", cmd=["a", "b c"]), {"Cmd": ["a", "b c"]}, id="a command"),
        pytest.param(
            TaskDefinition(image="bb", entrypoint=["py"], run="x"),
            {"Entrypoint": ["py"], "Cmd": ["/tork/entrypoint"]},
            id="an entry point, which is process 1",
        ),
        pytest.param(TaskDefinition(image="bb", entrypoint=["py"]), {"Entrypoint": ["py"], "Cmd": []}, id="it alone"),
        pytest.param(
            AuxTask(image="bb", env={"A": "1", "TORK_OUTPUT": "mine"}), {"Env": ["A=1", *OURS]}, id="variables"
        ),
        pytest.param(TaskDefinition(image="bb", files={"a": ""}), {"WorkingDir": "/tork/workdir"}, id="files"),
    ],
)
def test_of_a_step(step: TaskDefinition | AuxTask, more: dict[str, object]) -> None:
    assert body(step) == {**BODY, **more}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        pytest.param({"mounts": [VOLUME]}, {"Mounts": [VOLUME, TORK]}, id="mounts"),
        pytest.param({"limits": Limits(cpus=".5", memory="20m")}, {"NanoCpus": 500_000_000, "Memory": 20_971_520},
                     id="limits"),
        pytest.param({"limits": Limits()}, {}, id="empty limits"),
        pytest.param({"privileged": True}, {"Privileged": True}, id="privileged"),
        pytest.param({"differences": PODMAN}, {"LogConfig": {"Type": "k8s-file"}}, id="Podman"),
    ],
)  # fmt: skip
def test_of_what_a_run_shares(changes: dict[str, Any], more: dict[str, object]) -> None:
    assert body(TaskDefinition(image="bb"), replace(PLAIN, **changes)) == {**BODY, "HostConfig": host(**more)}


def test_of_a_working_directory() -> None:
    assert body(TaskDefinition(image="bb"), workdir="/w//x/")["WorkingDir"] == "/w/x"


def test_a_published_port_is_this_hosts_alone() -> None:
    made = body(TaskDefinition(image="bb"), published=Published(port=80, address="127.0.0.1"))
    assert made["ExposedPorts"] == {"80/tcp": {}}
    assert made["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}


def test_networks_are_taken_over() -> None:
    attachment = Attachment(host_config={"NetworkMode": "n"}, config={"NetworkingConfig": {"x": 1}}, connections=())
    made = body(TaskDefinition(image="bb"), attachment=attachment)
    assert (made["HostConfig"]["NetworkMode"], made["NetworkingConfig"]) == ("n", {"x": 1})


def test_an_engine_without_an_init_process_is_not_asked_for_one() -> None:
    assert body(TaskDefinition(image="bb", run="x"), with_init=False)["HostConfig"]["Init"] is False


def test_gpus_are_refused_where_they_can_not_be_given() -> None:
    check_share(TaskDefinition(image="bb", gpus="all"), DOCKER)
    with pytest.raises(RuntimeFailure, match="gpus can't be given to containers of Podman"):
        check_share(TaskDefinition(image="bb", gpus="all"), PODMAN)
