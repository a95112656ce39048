"""Archives into containers and files out of them: what an engine unpacks, and the one file that is read back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, an_api_server, answer, chunked
from torkd.runtime.containers.archive import archive_of
from torkd.runtime.containers.differences import DOCKER
from torkd.runtime.containers.sdk_engine import SdkEngine, open_client


def members(archive: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getmembers()


def test_directories_come_before_files_and_all_is_roots() -> None:
    found = members(archive_of({"/w/a": (b"a", 0o444)}, {"/w": 0o777}))
    assert [(one.name, one.isdir(), one.mode, one.uid, one.gid) for one in found] == [
        ("w", True, 0o777, 0, 0),
        ("w/a", False, 0o444, 0, 0),
    ]


def test_without_directories_none_that_is_there_changes() -> None:
    assert [one.name for one in members(archive_of({"/tmp/deep/a": (b"", 0o444)}))] == ["tmp/deep/a"]


@pytest.mark.parametrize("name", ["ü" * 60, "n" * 200, "d/" * 60 + "x"], ids=["letters", "long name", "long path"])
def test_any_name_and_content_is_kept(name: str) -> None:
    archive = archive_of({name: (b"\0\xff" * 1000, 0o444)})
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        content = tar.extractfile(name)
        assert content is not None
        assert content.read() == b"\0\xff" * 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with an_api_server(tmp_path) as server:
        yield server


@pytest.fixture
def sdk(server: ApiServer) -> Iterator[SdkEngine]:
    engine = SdkEngine(lambda: open_client(server.place), place=server.place, differences=DOCKER)
    yield engine
    engine.close()


def packed(content: bytes, kind: bytes = tarfile.REGTYPE, pax: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("stdout")
        member.type, member.size, member.pax_headers = kind, len(content), pax or {}
        member.linkname = "elsewhere" if kind == tarfile.SYMTYPE else ""
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("pax", [{}, {"SCHILY.xattr.x": "y" * 2000}], ids=["plain", "with attributes"])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 999, 1000, 1001, 5_000_000])
def test_at_most_so_much_of_a_file_is_read_and_its_size_told(
    server: ApiServer, sdk: SdkEngine, size: int, pax: dict[str, str]
) -> None:
    content = bytes(range(250)) * (size // 250 + 1)
    body = packed(content[:size], pax=pax)
    server.acts["/containers/c/archive"] = chunked(*(body[at : at + 32768] for at in range(0, len(body), 32768)))
    assert sdk.read_file("c", "/tork/stdout", 1000) == (content[: min(size, 1000)], size)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE], ids=["link", "directory", "pipe"]
)
def test_what_is_no_plain_file_is_none(server: ApiServer, sdk: SdkEngine, kind: bytes) -> None:
    server.acts["/containers/c/archive"] = chunked(packed(b"", kind))
    assert sdk.read_file("c", "/tork/stdout", 1000) is None


@pytest.mark.parametrize("body", [b"", b"\0" * 1024, b"x" * 2000], ids=["empty", "nothing in it", "garbage"])
def test_what_is_no_archive_is_none(server: ApiServer, sdk: SdkEngine, body: bytes) -> None:
    server.acts["/containers/c/archive"] = answer(200, body)
    assert sdk.read_file("c", "/tork/stdout", 1000) is None


def test_a_file_that_is_not_there_is_none(server: ApiServer, sdk: SdkEngine) -> None:
    server.acts["/containers/c/archive"] = answer(404, b'{"message":"Could not find the file"}')
    assert sdk.read_file("c", "/tork/stdout", 1000) is None
