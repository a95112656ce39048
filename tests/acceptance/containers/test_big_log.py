"""A log as long as logs get: 200 MB of both streams at once, from a container to whoever reads it, on both engines.

Every line says its stream and its number, and what follows can be told from the number: so a line that is missing, torn, changed,
out of order or there twice is found, whichever it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest

import pytest

from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine
from tests.support.event_stream import events_of

LINES = 200_000
LINE_SIZE = 1024
ERRORS_EVERY = 3
"""Each line whose number can be divided by this is an error."""
WITHIN_SECONDS = 240
"""The engine itself takes most of the time: four seconds when it is alone, half a minute on a machine that is busy."""
# What awk has not written yet it writes in blocks of some KB: so lines of the two streams are torn by one another.
PRINT = f"""
awk 'BEGIN {{
  for (number = 0; number < {LINES}; number++) {{
    word = sprintf("%07d ", number)
    while (length(word) < {LINE_SIZE}) word = word word
    if (number % {ERRORS_EVERY}) print "o" substr(word, 1, {LINE_SIZE - 2})
    else print "e" substr(word, 1, {LINE_SIZE - 2}) > "/dev/stderr"
  }}
}}'
"""


@pytest.mark.timeout(WITHIN_SECONDS + 60)
def test_every_line_of_both_streams_arrives_whole_in_order_and_once(container_engine: ContainerEngine) -> None:
    with Daemon({**container_engine.settings, "TORK_WORKER_LOGS_MAX": "1G"}) as daemon:
        job = daemon.submit({"name": "much to say", "tasks": [{"name": "print", "image": "bb", "run": PRINT}]})
        *printed, end = events_of(f"{daemon.endpoint}/jobs/{job}/log/stream", within=WITHIN_SECONDS)
        assert (end.kind, end.data) == ("end", {"state": "COMPLETED"}), daemon.told()
        text = "".join(event.data["contents"] for event in printed)
    assert len(text) == LINES * LINE_SIZE
    lines = text.splitlines()
    assert _first_wrong((line for line in lines if line.startswith("o")), _expected("o")) is None
    assert _first_wrong((line for line in lines if line.startswith("e")), _expected("e")) is None


def _expected(mark: str) -> Iterator[str]:
    for number in range(LINES):
        if (number % ERRORS_EVERY == 0) == (mark == "e"):
            yield mark + (f"{number:07d} " * (LINE_SIZE // 8))[: LINE_SIZE - 2]


def _first_wrong(found: Iterable[str], expected: Iterable[str]) -> str | None:
    """A comparison of all lines would take the test's reader longer than the test."""
    for is_there, should_be in zip_longest(found, expected, fillvalue=""):
        if is_there != should_be:
            return f"{is_there[:30]!r} is where {should_be[:30]!r} should be"
    return None
