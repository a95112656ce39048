from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.messages import a_task_message
from tests.support.waiting import wait_until
from tork.errors import BrokerUnavailable
from torkd.broker.messages import LogPrinted
from torkd.runtime.stopping import StopReason, StopSignal
from torkd.worker.flushing import LogFlusher
from torkd.worker.logs import MAX_WAITING_LENGTH, PART_LENGTH, RunLog
from torkd.worker.streams import MAX_LINE_LENGTH

NO_FLUSH = LogFlusher()
"""Never started: only what is large, or the end, makes parts."""


class Published:
    """What a log published."""

    def __init__(self) -> None:
        self.parts: list[LogPrinted] = []
        self.is_away = False

    def __call__(self, parts: Sequence[LogPrinted]) -> None:
        if self.is_away:
            raise BrokerUnavailable("away")
        self.parts.extend(parts)

    @property
    def text(self) -> str:
        return "".join(part.contents for part in self.parts)


def a_log(
    published: Published,
    *,
    mask: Sequence[str] = (),
    max_bytes: int = 1_000_000_000,
    flusher: LogFlusher = NO_FLUSH,
    stop: StopSignal | None = None,
) -> RunLog:
    return RunLog(
        a_task_message(mask=list(mask)),
        "r1",
        publish=published,
        flusher=flusher,
        stop=stop or StopSignal(),
        now=lambda: datetime.now(UTC),
        max_bytes=max_bytes,
    )


def printed(pieces: Sequence[bytes], **options: object) -> str:
    published = Published()
    log = a_log(published, **options)  # type: ignore[arg-type]  # the options of a_log
    for piece in pieces:
        log.write(piece)
    published(log.finish())
    return published.text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([b"a\n", b"b\n"], "a\nb\n"),
        ([b"no end of line"], "no end of line"),
        (["ü".encode()[:1], "ü".encode()[1:] + b"\n"], "ü\n"),
        ([b"a\xff\xfeb\n"], "a\ufffd\ufffdb\n"),
        (["ü".encode()[:1]], "\ufffd"),
        ([b"a\0b\n"], "a\ufffdb\n"),
        ([b"50%\r", b"100%\r\n"], "50%\r100%\r\n"),
        ([], ""),
    ],
    ids=["lines", "unfinished", "split letter", "broken", "broken end", "NUL", "carriage return", "nothing"],
)
def test_bytes_become_text(pieces: list[bytes], text: str) -> None:
    assert printed(pieces) == text


def test_parts_are_numbered_without_gaps_and_bounded_in_size() -> None:
    published = Published()
    log = a_log(published)
    for number in range(20_000):
        log.write(f"line {number}\n".encode())
    published(log.finish())
    assert [part.number for part in published.parts] == list(range(1, log.part_count + 1))
    assert len(published.parts) > 2
    assert all(len(part.contents) <= PART_LENGTH for part in published.parts)
    assert published.text == "".join(f"line {number}\n" for number in range(20_000))


def test_a_line_without_end_is_sent_in_pieces() -> None:
    published = Published()
    log = a_log(published)
    for _ in range(40):
        log.write(b"x" * 10_000)
    assert published.text
    assert len(published.text) % MAX_LINE_LENGTH < 400_000
    published(log.finish())
    assert published.text == "x" * 400_000


def test_lines_of_parallel_streams_are_not_torn() -> None:
    published = Published()
    log = a_log(published)
    first, second = log.stream(), log.stream()
    first.write(b"one ")
    second.write(b"two ")
    first.write(b"1\n")
    second.write(b"2\n")
    first.write(b"end of one")
    second.write(b"end of two")
    published(log.finish())
    assert published.text == "one 1\ntwo 2\nend of oneend of two"


def test_a_log_that_is_too_long_ends_with_one_notice() -> None:
    text = printed([b"12345678\n"] * 100, max_bytes=20)
    assert text == "12345678\n12345678\n12[the log ends here: it is longer than worker.logs.max allows]\n"


def test_a_log_of_exactly_the_allowed_length_is_whole() -> None:
    assert printed([b"12345678\n"] * 2, max_bytes=18) == "12345678\n" * 2


def test_short_prints_arrive_soon_without_the_end_of_the_run() -> None:
    published = Published()
    flusher = LogFlusher(interval_seconds=0.01)
    flusher.start()
    log = a_log(published, flusher=flusher)
    log.write(b"one\n")
    wait_until(lambda: published.text == "one\n")
    published.is_away = True
    log.write(b"two\n")
    published.is_away = False
    wait_until(lambda: published.text == "one\ntwo\n")
    flusher.close()


def test_what_could_not_be_sent_is_sent_later_and_in_order() -> None:
    published = Published()
    published.is_away = True
    log = a_log(published)
    for number in range(30_000):
        log.write(f"line {number}\n".encode())
    published.is_away = False
    published(log.finish())
    assert [part.number for part in published.parts] == list(range(1, log.part_count + 1))
    assert published.text == "".join(f"line {number}\n" for number in range(30_000))


@pytest.mark.parametrize("end", ["the broker comes back", "the run is stopped"])
def test_a_task_that_prints_faster_than_can_be_sent_waits(end: str) -> None:
    published, stop = Published(), StopSignal()
    published.is_away = True
    log = a_log(published, stop=stop)
    written: list[int] = []

    def print_much() -> None:
        for number in range(MAX_WAITING_LENGTH // 100_000 + 10):
            log.write(b"x" * 99_999 + b"\n")
            written.append(number)

    printing = threading.Thread(target=print_much)
    printing.start()
    wait_until(lambda: len(written) >= MAX_WAITING_LENGTH // 100_000)
    printing.join(0.1)
    assert printing.is_alive()
    if end == "the run is stopped":
        stop.set(StopReason.CANCELLED, "")
    else:
        published.is_away = False
    printing.join(20)
    assert not printing.is_alive()


SECRETS = ["s3cret", "s3cret-and-more", "xs3c", "line one\nline two", "ababab", "one\nfoo", "foo\nbar"]


@given(
    words=st.lists(st.sampled_from([*SECRETS, "s3c", "ab", "x", "\n", "one\nfoo", "foo\n", "bar", " "]), max_size=12),
    cuts=st.lists(st.integers(min_value=1, max_value=5), max_size=60),
)
def test_a_secret_is_hidden_however_the_output_is_cut(words: list[str], cuts: list[int]) -> None:
    whole = "".join(words).encode()
    pieces, start = [], 0
    for cut in [*cuts, len(whole)]:
        pieces.append(whole[start : start + cut])
        start += cut
    text = printed(pieces, mask=SECRETS)
    assert not any(secret in text for secret in SECRETS)
    assert text == printed([whole], mask=SECRETS)


def test_a_secret_that_ends_like_another_begins_is_hidden() -> None:
    assert printed([b"one\nfoo\n", b"bad\n"], mask=SECRETS) == "[REDACTED]\nbad\n"


def test_a_secret_at_the_cut_of_an_endless_line_is_hidden() -> None:
    text = printed([b"x" * (MAX_LINE_LENGTH - 3) + b"s3c", b"ret" + b"y" * MAX_LINE_LENGTH], mask=["s3cret"])
    assert "[REDACTED]" in text
    assert "s3c" not in text
    assert text.count("x") == MAX_LINE_LENGTH - 3


@pytest.mark.parametrize("value", ["", " ", "abc"])
def test_short_secrets_do_not_garble_the_log(value: str) -> None:
    assert printed([b"abc def\n"], mask=[value]) == "abc def\n"
