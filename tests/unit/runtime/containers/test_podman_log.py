"""Podman's log, read from the file that its monitor writes, or asked for again and again: whole and once either way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torkd.runtime.containers import podman_engine
from torkd.runtime.containers.engine import EngineUnavailable
from torkd.runtime.containers.podman_engine import _End, _FileLog, _RepeatedLog

TIME = b"2026-01-01T00:00:00.000000000+00:00"


def line(stream: str, kind: str, text: bytes) -> bytes:
    return b" ".join([TIME, stream.encode(), kind.encode(), text]) + b"\n"


def read(path: Path, wait: Callable[[], object] = lambda: 0) -> dict[str, bytes]:
    found = {"stdout": b"", "stderr": b""}
    for stream, data in _FileLog(path, _End(wait)):
        found[stream] += data
    return found


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        (b"", {"stdout": b"", "stderr": b""}),
        (line("stdout", "F", b"a b  c"), {"stdout": b"a b  c\n", "stderr": b""}),
        (line("stdout", "F", b""), {"stdout": b"\n", "stderr": b""}),
        (line("stdout", "P", b"no end"), {"stdout": b"no end", "stderr": b""}),
        (line("stdout", "P", b"a") + line("stderr", "F", b"e") + line("stdout", "F", b"b"),
         {"stdout": b"ab\n", "stderr": b"e\n"}),
        (line("stdout", "F", b"\0\xff\r"), {"stdout": b"\0\xff\r\n", "stderr": b""}),
        (b"torn\n" + line("stdout", "F", b"x") + line("stdin", "F", b"y") + line("stdout", "Q", b"z") + b"\n",
         {"stdout": b"x\n", "stderr": b""}),
        (line("stdout", "F", b"x") + TIME + b" stdout F half", {"stdout": b"x\n", "stderr": b""}),
    ],
    ids=["nothing", "a line", "an empty line", "a piece", "pieces", "bytes", "lines that are none", "a torn end"],
)  # fmt: skip
def test_lines_and_pieces_are_put_together(tmp_path: Path, written: bytes, printed: dict[str, bytes]) -> None:
    (tmp_path / "log").write_bytes(written)
    assert read(tmp_path / "log") == printed


def test_a_large_log_is_read_across_its_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman_engine, "_READ_SIZE", 7)
    (tmp_path / "log").write_bytes(b"".join(line("stdout", "F", b"%d" % number) for number in range(200)))
    assert read(tmp_path / "log")["stdout"] == b"".join(b"%d\n" % number for number in range(200))


def test_what_is_written_until_the_end_is_read(tmp_path: Path) -> None:
    path, ended = tmp_path / "log", threading.Event()
    path.write_bytes(line("stdout", "F", b"first"))
    news = iter(_FileLog(path, _End(ended.wait)))
    assert next(news) == ("stdout", b"first\n")
    with path.open("ab") as log:
        log.write(line("stdout", "F", b"last"))
    ended.set()
    assert list(news) == [("stdout", b"last\n")]


def test_a_lost_engine_is_told_after_what_came(tmp_path: Path) -> None:
    def lose() -> None:
        raise EngineUnavailable("away")

    (tmp_path / "log").write_bytes(line("stdout", "F", b"x"))
    news = iter(_FileLog(tmp_path / "log", _End(lose)))
    assert next(news) == ("stdout", b"x\n")
    with pytest.raises(EngineUnavailable):
        next(news)


def test_a_closed_log_ends_although_the_container_goes_on(tmp_path: Path) -> None:
    ended = threading.Event()
    (tmp_path / "log").write_bytes(line("stdout", "F", b"x"))
    log = _FileLog(tmp_path / "log", _End(ended.wait))
    news = iter(log)
    next(news)
    log.close()
    log.close()
    assert list(news) == []
    ended.set()


class Answer:
    """One answer to the question for the log."""

    def __init__(self, pieces: list[tuple[str, bytes]]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self._pieces)

    def close(self) -> None:
        """Nothing is held."""


def test_a_log_that_is_asked_for_again_says_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman_engine, "_ASK_SECONDS", 0.001)
    whole = [("stdout", b"ab"), ("stderr", b"x"), ("stdout", b"cd"), ("stdout", b"ef")]
    ended, asked = threading.Event(), iter(range(1, 100))

    def ask() -> Answer:
        number = next(asked)
        if number >= 5:
            ended.set()
        return Answer([("stdout", b"abc"), ("stderr", b"x")] if number == 2 else whole[: max(number - 1, 0)])

    found = {"stdout": b"", "stderr": b""}
    for stream, data in _RepeatedLog(ask, _End(ended.wait)):
        found[stream] += data
    assert found == {"stdout": b"abcdef", "stderr": b"x"}
