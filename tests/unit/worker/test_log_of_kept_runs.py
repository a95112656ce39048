"""The log of a run that goes on without its worker: cut anywhere, it is the log of an uninterrupted run, to the byte."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.messages import a_task_message
from torkd.broker.messages import LogPrinted
from torkd.middleware import Chain, LogMiddleware
from torkd.runtime.stopping import StopReason, StopSignal
from torkd.worker import logs, streams
from torkd.worker.flushing import LogFlusher
from torkd.worker.logs import RunLog
from torkd.worker.spool import Spool, recover, spooled_parts

SECRETS = [
    "s3cret",
    "s3cret-and-more",
    "xs3c",
    "line one\nline two",
    "ababab",
    "one\nfoo",
    "foo\nbar",
    "gehe\u00fcm",
    "a\ufffdb1",
]
ONE_LINE_SECRETS = [secret for secret in SECRETS if "\n" not in secret]
SOURCES = ("main/stdout", "main/stderr")
FRAGMENTS = [
        *(secret.encode() for secret in SECRETS),
        b"s3c", b"ret", b"ab", b"x", b"\n", b"\r", b" ", b"one\nfoo", b"gehe\xc3", b"\xbcm", b"\0", b"\xff", b"\xe2\x82",
        b"\xe2\x82\xac", b"\xf0\x9f", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"a\xffb1", b"a\0b1",
        b"a word\n", b"0123456789",
]  # fmt: skip
SMALL_LINE, SMALL_PART = 24, 10


class Life:
    """One worker's part of the log: published parts are stored by number, and a number is stored once."""

    def __init__(self, spool: Path, stored: dict[int, str], *, mask: Sequence[str], max_bytes: int) -> None:
        self.stored = stored
        self.stop = StopSignal()
        self.log = RunLog(
            a_task_message(mask=list(mask)),
            "r1",
            publish=self.publish,
            flusher=LogFlusher(),
            stop=self.stop,
            now=lambda: datetime.now(UTC),
            max_bytes=max_bytes,
        )
        number, mark = recover(spool)
        self.log.resume(number, mark)
        for part in spooled_parts(spool):
            if part.contents:
                self.stored.setdefault(part.number, part.contents)
        self.spool = Spool(spool)
        self.log.keep(self.spool, self.fail)
        self.streams = {name: self.log.stream(name) for name in SOURCES}
        self.read = {name: stream.position for name, stream in self.streams.items()}

    def write(self, name: str, beginning: bytes) -> None:
        """Write what is new of the source, which has printed this much."""
        self.streams[name].write(beginning[self.read[name] :])
        self.read[name] = max(self.read[name], len(beginning))

    def publish(self, parts: Sequence[LogPrinted]) -> None:
        for part in parts:
            assert self.stored.setdefault(part.number, part.contents) == part.contents, "a number means one text"

    def fail(self) -> None:
        raise AssertionError("the spool works")

    def die(self) -> None:
        """Without a word: the system closes the file."""
        self.spool.close()


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that torn lines and many parts come with short texts."""
    monkeypatch.setattr(streams, "MAX_LINE_LENGTH", SMALL_LINE)
    monkeypatch.setattr(logs, "PART_LENGTH", SMALL_PART)


PATIENT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)


def uninterrupted(name: str, data: bytes, mask: Sequence[str]) -> str:
    """What a source becomes that is written in one piece."""
    published: list[LogPrinted] = []
    log = RunLog(
        a_task_message(mask=list(mask)),
        "r1",
        publish=published.extend,
        flusher=LogFlusher(),
        stop=StopSignal(),
        now=lambda: datetime.now(UTC),
        max_bytes=10**9,
    )
    log.stream(name).write(data)
    published += log.finish()
    return "".join(part.contents for part in published)


@PATIENT
@given(
    seed=st.integers(0, 2**64),
    mask=st.sampled_from([[], ONE_LINE_SECRETS, SECRETS]),
    limit=st.sampled_from([10**9, 10**9, 60]),
)
def test_a_stream_that_is_taken_up_again_and_again_reads_as_if_nothing_happened(
    tmp_path_factory: pytest.TempPathFactory, seed: int, mask: list[str], limit: int
) -> None:
    chance = random.Random(seed)
    whole = b"".join(chance.choices(FRAGMENTS, k=chance.randint(0, 60)))
    name = SOURCES[0]
    spool = tmp_path_factory.mktemp("run") / "log"
    stored: dict[int, str] = {}
    life = Life(spool, stored, mask=mask, max_bytes=limit)
    written = 0
    while written < len(whole):
        written += chance.randint(1, chance.choice([2, 9, 40]))
        step = chance.choice(["", "", "", "flush", "kill", "kill while writing", "leave"])
        before = spool.stat().st_size
        if step == "kill while writing":
            life.log._publish = lambda _: None  # what is not whole on disk was not published
        life.write(name, whole[:written])
        match step:
            case "":
                continue
            case "flush":
                life.log.flush()
                continue
            case "leave":
                life.stop.set(StopReason.LEFT, "")
                life.streams[name].close()
                life.publish(life.log.leave())
            case "kill":
                life.die()
            case "kill while writing":
                life.log.flush()
                os.truncate(spool, chance.randint(before, spool.stat().st_size))
                life.die()
        life = Life(spool, stored, mask=mask, max_bytes=limit)
    life.write(name, whole)
    life.streams[name].close()
    life.publish(life.log.finish())
    assert sorted(stored) == list(range(1, life.log.part_count + 1))
    text = "".join(stored[number] for number in sorted(stored))
    expected = uninterrupted(name, whole[:limit], mask)
    assert text == expected + (streams.END_NOTICE if limit < len(whole) else "")
    assert not any(secret in text for secret in mask)
    assert number_and_text(spool) == stored


def number_and_text(spool: Path) -> dict[int, str]:
    return {part.number: part.contents for part in spooled_parts(spool) if part.contents}


@PATIENT
@given(seed=st.integers(0, 2**64))
def test_two_streams_keep_their_places_apart(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance = random.Random(seed)
    # By its letters each can be read out of the common text.
    sources = {
        name: bytes(chance.choices(alphabet, k=chance.randint(0, 100)))
        for name, alphabet in zip(SOURCES, (b"ab\n", b"YZ\n"), strict=True)
    }
    spool = tmp_path_factory.mktemp("run") / "log"
    stored: dict[int, str] = {}
    life = Life(spool, stored, mask=[], max_bytes=10**9)
    for _ in range(chance.randint(0, 40)):
        name = chance.choice(SOURCES)
        life.write(name, sources[name][: life.read[name] + chance.randint(1, 9)])
        match chance.choice(["", "", "flush", "kill"]):
            case "flush":
                life.log.flush()
            case "kill":
                life.die()
                life = Life(spool, stored, mask=[], max_bytes=10**9)
    for name, data in sources.items():
        life.write(name, data)
    life.publish(life.log.finish())
    text = "".join(stored[number] for number in sorted(stored))
    for name, own in zip(SOURCES, ("ab", "YZ"), strict=True):
        printed = sources[name].decode().replace("\n", "")
        assert "".join(letter for letter in text if letter in own) == printed
    assert text.count("\n") == sum(data.count(b"\n") for data in sources.values())


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    life = Life(tmp_path / "log", {}, mask=[], max_bytes=10**9)
    life.streams[SOURCES[0]].write(b"one\n")
    life.log.flush()
    whole = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(whole + b'{"number":2,"cont')
    number, mark = recover(tmp_path / "log")
    assert (number, mark.positions) == (1, {SOURCES[0]: 4})
    assert (tmp_path / "log").read_bytes() == whole


def test_a_log_that_can_not_be_kept_goes_on_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    failures = []
    life = Life(tmp_path / "log", {}, mask=[], max_bytes=10**9)
    full = Spool(Path("/dev/full"))
    life.log.keep(full, lambda: failures.append("gave up"))
    for number in range(3):
        life.streams[SOURCES[0]].write(b"line %d\n" % number)
        life.log.flush()
    life.publish(life.log.finish())
    assert "".join(life.stored.values()) == "line 0\nline 1\nline 2\n"
    assert failures == ["gave up"]
    assert caplog.text.count("No space left on device") == 1


def test_what_was_printed_before_the_run_was_kept_has_its_number(tmp_path: Path) -> None:
    stored: dict[int, str] = {}
    life = Life(tmp_path / "log", stored, mask=[], max_bytes=10**9)
    log = RunLog(
        a_task_message(),
        "r1",
        publish=life.publish,
        flusher=LogFlusher(),
        stop=StopSignal(),
        now=lambda: datetime.now(UTC),
        max_bytes=10**9,
    )
    log.write(b"early\n")
    log.flush()
    log.keep(Spool(tmp_path / "second"), lambda: None)
    assert recover(tmp_path / "second")[0] == 1


def test_text_that_middleware_leaves_nothing_of_makes_no_part(tmp_path: Path) -> None:
    class Drops(LogMiddleware):
        def printed(self, text: str) -> str:
            return text.replace("drop me\n", "")

    published: list[LogPrinted] = []
    log = RunLog(
        a_task_message(),
        "r1",
        publish=published.extend,
        flusher=LogFlusher(),
        stop=StopSignal(),
        now=lambda: datetime.now(UTC),
        max_bytes=10**9,
        printed=Chain([Drops()], "printed", LogMiddleware),
    )
    log.keep(Spool(tmp_path / "log"), lambda: None)
    stream = log.stream(SOURCES[0])
    for _ in range(2):
        stream.write(b"drop me\n")
        assert log.flush()
    stream.write(b"keep\n")
    assert not published, "it does not wait with what was dropped, so it is too little to be sent at once"
    assert log.flush()
    stream.write(b"drop me\n")
    assert "".join(part.contents for part in [*published, *log.finish()]) == "keep\n"
    assert recover(tmp_path / "log")[1].positions == {SOURCES[0]: 21}
