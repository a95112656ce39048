"""Stand-ins for the public images that examples use: the same names and configuration, busybox, and the programs that are called.

Nothing can be pulled from outside, and a program is only in the image that has it in the world.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import stand_in_programs as programs
from tests.support.engine_api import EngineApi

BUSYBOX = Path("/bin/busybox")
_WORLD_HAS = {"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "/etc/group": "root:x:0:\n"}
_DIRECTORIES = ("bin", "etc", "root", "tmp", "usr", "usr/local", "usr/local/bin")


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """An image by its full name, `registry/repository:tag`."""

    name: str
    programs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()


STAND_INS = (
    StandIn(
        name="docker.io/library/alpine:3.21",
        programs={"wget": programs.WGET, "nc": programs.NC},
        files={"/etc/os-release": programs.OS_RELEASE},
        command=["/bin/sh"],
    ),
    StandIn(
        name="docker.io/alpine/git:2.47.2",
        programs={"git": programs.GIT, "wget": programs.WGET},
        entrypoint=["git"],
        command=["--help"],
    ),
    StandIn(
        name="docker.io/dpokidov/imagemagick:7.1.1-8-bullseye",
        programs={"convert": programs.CONVERT, "identify": programs.IDENTIFY},
        entrypoint=["convert"],
    ),
    StandIn(
        name="docker.io/jrottenberg/ffmpeg:7.1-alpine",
        programs={"ffmpeg": programs.FFMPEG, "wget": programs.WGET},
        entrypoint=["ffmpeg"],
        command=["--help"],
    ),
    StandIn(
        name="docker.io/library/python:3.13-slim",
        programs={"python": programs.PYTHON, "pip": programs.PIP},
        command=["python3"],
    ),
    StandIn(
        name="docker.io/library/nginx:1.27-alpine",
        programs={"docker-entrypoint.sh": programs.NGINX},
        files={"/usr/share/nginx/html/index.html": programs.NGINX_PAGE},
        entrypoint=["/usr/local/bin/docker-entrypoint.sh"],
        command=["nginx", "-g", "daemon off;"],
    ),
    StandIn(
        name="docker.io/minio/minio:RELEASE.2025-04-22T22-12-26Z",
        programs={"minio": programs.MINIO, "minio-object": programs.MINIO_OBJECT},
        entrypoint=["minio"],
    ),
    StandIn(
        name="docker.io/minio/mc:RELEASE.2025-04-16T18-13-26Z",
        programs={"mc": programs.MC, "wget": programs.WGET},
        entrypoint=["mc"],
    ),
    StandIn(name="docker.io/nvidia/cuda:12.8.1-base-ubuntu24.04", command=["/bin/sh"]),
)


def load_stand_ins(api: EngineApi) -> None:
    """Put all of them into an engine, in place of what has their names."""
    for stand_in in STAND_INS:
        changes = [
            *([f"ENTRYPOINT {json.dumps(list(stand_in.entrypoint))}"] if stand_in.entrypoint else []),
            *([f"CMD {json.dumps(list(stand_in.command))}"] if stand_in.command else []),
        ]
        query: dict[str, str | Sequence[str]] = {"fromSrc": "-", "repo": stand_in.name, "changes": changes}
        answer = api.call("POST", "/images/create", query, _root(stand_in), {"Content-Type": "application/x-tar"})
        assert b'"error"' not in answer, answer


def _root(stand_in: StandIn) -> bytes:
    """Its file system as a tar archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for directory in _DIRECTORIES:
            _add(archive, directory, b"", tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755)
        _add(archive, "bin/busybox", BUSYBOX.read_bytes(), tarfile.REGTYPE, 0o755)
        for applet in _applets():
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name, script in stand_in.programs.items():
            _add(archive, f"usr/local/bin/{name}", script.encode(), tarfile.REGTYPE, 0o755)
        for path, text in {**_WORLD_HAS, **stand_in.files}.items():
            _add(archive, path.removeprefix("/"), text.encode(), tarfile.REGTYPE, 0o644)
    return packed.getvalue()


def _applets() -> list[str]:
    told = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    return [applet for applet in told.stdout.split() if applet != "busybox"]


def _add(archive: tarfile.TarFile, name: str, content: bytes, kind: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size = kind, mode, len(content)
    archive.addfile(entry, io.BytesIO(content))
