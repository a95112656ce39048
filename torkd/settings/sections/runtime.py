"""Settings of the runtimes, which run the tasks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from torkd.settings.checks import check_user_id
from torkd.settings.kinds import Duration, FilePath, Flag, Text, Texts
from torkd.settings.sections.section import Section


class Shell(Section, frozen=True, kw_only=True):
    """`[runtime.shell]`"""

    cmd: Annotated[tuple[str, ...], Texts(means="what runs a script; its path is appended", least=1)] = ("bash", "-c")
    uid: Annotated[str, Text(means="numeric user id that tasks run as; `-`: the worker's", check=check_user_id)] = "-"
    gid: Annotated[str, Text(means="numeric group id that tasks run as; `-`: the worker's", check=check_user_id)] = "-"


class ContainerEngine(Section, frozen=True, kw_only=True):
    """`[runtime.docker]` and `[runtime.podman]`"""

    config: Annotated[Path, FilePath(means="docker's `config.json`, for registry credentials")] = Path(
        "~/.docker/config.json"
    )
    privileged: Annotated[bool, Flag(means="run every container privileged")] = False
    image_ttl: Annotated[
        timedelta,
        Duration(
            key="image.ttl",
            means="time since its last use after which an image is removed; `never`: none is",
            may_be_never=True,
        ),
    ] = timedelta(hours=72)
    image_verify: Annotated[bool, Flag(key="image.verify", means="check an image after pulling it")] = False
    image_keep: Annotated[
        tuple[str, ...],
        Texts(key="image.keep", means="images that are never removed, with `*` as a wildcard, such as `alpine:*`"),
    ] = ()
    host_network: Annotated[bool, Flag(key="host.network", means="whether tasks may use `networks: [host]`")] = False
    networks: Annotated[
        tuple[str, ...],
        Texts(means="networks that tasks may name, beside `bridge`, `none` and what `host.network` allows; empty: any"),
    ] = ()


class Runtime(Section, frozen=True, kw_only=True):
    """`[runtime]`"""

    type: Annotated[
        str,
        Text(
            means="docker, podman, shell, auto (what the machine has), or a registered name",
            default_text="docker; auto in standalone that only this machine can reach",
        ),
    ] = "docker"
    shell: Shell = Shell()
    docker: ContainerEngine = ContainerEngine()
    podman: ContainerEngine = ContainerEngine()
