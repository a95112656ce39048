"""The images of tests, made of nothing but busybox: nothing can be pulled from outside.

`bb` has a shell and the usual programs, and says nothing about how it wants to be run. The others are the same files with
a configuration.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.engine_api import EngineApi

BUSYBOX = "/bin/busybox"
USER_ID = 1000
"""Of the image `bb-user`."""
HTTP_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of tests: its names, and its configuration as images have it."""

    names: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


IMAGES = (
    Image(names=("bb:latest", "bb:1")),
    Image(names=("bb-cmd:latest",), config={"Cmd": ["echo", "said by the cmd of the image"]}),
    Image(
        names=("bb-entry:latest",),
        config={
            "Entrypoint": ["/bin/echo", "entry"],
            "Cmd": ["by", "default"],
            "Env": ["COLOUR=blue", "TASTE=sweet"],
            "WorkingDir": "/srv/work",
        },
    ),
    Image(names=("bb-user:latest",), config={"User": f"{USER_ID}:{USER_ID}", "WorkingDir": "/home/someone"}),
    Image(names=("bb-stop:latest",), config={"StopSignal": "SIGINT"}),
    Image(
        names=("bb-http:latest",),
        config={"Cmd": ["httpd", "-f", "-v", "-p", str(HTTP_PORT), "-h", "/var/www"]},
    ),
)
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUILT_AT = "2024-01-01T00:00:00Z"


def load_images(api: EngineApi) -> None:
    """Put all images into an engine."""
    api.load_images(_archive(IMAGES))


def _archive(images: Sequence[Image]) -> bytes:
    """As `docker save` packs them: all have one layer, which is in it once."""
    layer = _tar(_entries())
    files = {"layer.tar": layer}
    manifest = []
    for number, image in enumerate(images):
        files[f"{number}.json"] = _config(image, hashlib.sha256(layer).hexdigest())
        names = [_full_name(name) for name in image.names]
        manifest.append({"Config": f"{number}.json", "RepoTags": names, "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    return _tar((_entry(name, tarfile.REGTYPE, 0o644, size=len(data)), data) for name, data in files.items())


def _full_name(name: str) -> str:
    """What `docker pull` makes of it. Podman would take the short one for an image of no registry."""
    return f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"


def _config(image: Image, layer: str) -> bytes:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = {**image.config, "Env": [_PATH, *image.config.get("Env", [])]}
    about = {
        "architecture": machine,
        "os": "linux",
        "created": _BUILT_AT,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": _BUILT_AT, "created_by": "tests"}],
    }
    return json.dumps(about).encode()


def _tar(entries: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _entries() -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for name, mode in (
        *((directory, 0o755) for directory in ("bin", "etc", "home", "srv", "srv/work", "sbin", "usr", "usr/bin")),
        *((directory, 0o755) for directory in ("var", "var/www", "dev", "proc", "sys", "root")),
        ("tmp", 0o1777),
        ("var/tmp", 0o1777),
    ):
        yield _entry(name, tarfile.DIRTYPE, mode), b""
    yield _entry("home/someone", tarfile.DIRTYPE, 0o755, owner=USER_ID), b""
    content = Path(BUSYBOX).read_bytes()
    yield _entry("bin/busybox", tarfile.REGTYPE, 0o755, size=len(content)), content
    for library in _resolver():
        data = library.read_bytes()
        yield _entry(str(library).lstrip("/"), tarfile.REGTYPE, 0o755, size=len(data)), data
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            link = _entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            yield link, b""
    for name, text in {
        "etc/passwd": f"root:x:0:0:root:/root:/bin/sh\nsomeone:x:{USER_ID}:{USER_ID}::/home/someone:/bin/sh\n",
        "etc/group": f"root:x:0:\nsomeone:x:{USER_ID}:\n",
        "etc/nsswitch.conf": "hosts: files dns\n",
        "var/www/index.html": "welcome\n",
        "var/www/status": "fine\n",
    }.items():
        yield _entry(name, tarfile.REGTYPE, 0o644, size=len(text)), text.encode()


def _resolver() -> list[Path]:
    """What even a static program needs to find the address of a name, or it crashes: glibc loads it then."""
    loaders = [*Path("/lib64").glob("ld-linux-*.so.*"), *Path("/lib").glob("ld-linux-*.so.*")]
    names = ("libc.so.6", "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2")
    return [*loaders, *(path for name in names for path in sorted(Path("/lib").glob(f"*-linux-gnu*/{name}")))]


def _entry(name: str, kind: bytes, mode: int, *, size: int = 0, owner: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.uid, entry.gid = kind, mode, size, owner, owner
    return entry
