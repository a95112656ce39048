"""What a task's log says while its image is pulled: little, short, and never going back."""

from __future__ import annotations

import pytest

from torkd.runtime.containers.engine import PullEvent
from torkd.runtime.containers.pull_progress import LINE_SECONDS, PullProgress

MB = 1_000_000


class Clock:
    """Goes on when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _event(layer: str, status: str, current: float = 0, total: float = 0) -> PullEvent:
    return PullEvent(layer=layer, status=status, current=int(current * MB), total=int(total * MB))


@pytest.mark.parametrize(
    ("events", "line"),
    [
        pytest.param(
            [_event("a", "Pulling fs layer"), _event("b", "Already exists")], "x: 1 of 2 layers", id="not begun"
        ),
        pytest.param(
            [_event("a", "Downloading", 120, 300), _event("b", "Already exists")],
            "x: 1 of 2 layers, 120 MB of 300 MB (40 %)",
            id="all sizes known",
        ),
        pytest.param(
            [_event("a", "Downloading", 1.25, 300), _event("b", "Waiting")],
            "x: 0 of 2 layers, 1.2 MB",
            id="a size unknown",
        ),
        pytest.param(
            [_event("a", "Downloading", 2, 3), _event("a", "Download complete"), _event("b", "Downloading", 1, 5)],
            "x: 1 of 2 layers, 4.0 MB of 8.0 MB (50 %)",
            id="one is fetched",
        ),
        pytest.param(
            [_event("a", "Pull complete"), _event("b", "Extracting", 1, 5)],
            "x: unpacked 1 of 2 layers",
            id="unpacking",
        ),
        pytest.param([_event("a", "Downloading", 7, 0)], "x: 0 of 1 layers, 7.0 MB", id="no total"),
        pytest.param([_event("a", "Downloading", 9, 4)], "x: 0 of 1 layers, 4.0 MB of 4.0 MB (100 %)", id="too much"),
    ],
)
def test_a_line_says_how_far_it_is(events: list[PullEvent], line: str) -> None:
    clock = Clock()
    progress = PullProgress("x", clock)
    for event in events[:-1]:
        assert progress.take(event) is None
    clock.now = LINE_SECONDS

    assert progress.take(events[-1]) == line


@pytest.mark.parametrize(
    "event",
    [
        _event("latest", "Pulling from library/x"),
        _event("", "Digest: sha256:ab"),
        _event("", "Status: Downloaded newer image for x"),
    ],
    ids=["tag", "digest", "status"],
)
def test_news_of_no_layer_makes_no_line(event: PullEvent) -> None:
    clock = Clock()
    progress = PullProgress("x", clock)
    clock.now = 60

    assert progress.take(event) is None
    assert progress.percent == 0


def test_lines_keep_their_distance_and_say_something_new() -> None:
    clock = Clock()
    progress = PullProgress("x", clock)
    lines = []
    for second in range(31):
        clock.now = float(second)
        lines.append(progress.take(_event("a", "Downloading", min(second, 12), 100)))

    said = {second: line for second, line in enumerate(lines) if line}
    assert list(said) == [5, 10, 15]
    assert said[15] == "x: 0 of 1 layers, 12 MB of 100 MB (12 %)"


def test_the_percentage_never_goes_back() -> None:
    progress = PullProgress("x", Clock())
    seen = []
    for event in (
        _event("a", "Downloading", 50, 100),
        _event("b", "Pulling fs layer"),
        _event("b", "Downloading", 0, 1000),
        _event("a", "Download complete"),
        _event("b", "Downloading", 1000, 1000),
        _event("b", "Extracting", 1, 1000),
        _event("a", "Pull complete"),
    ):
        progress.take(event)
        seen.append(progress.percent)

    assert seen == sorted(seen)
    assert seen[0] == 50
    assert seen[-1] == 100


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12.3, "12 s"), (59.7, "1 min 0 s"), (125, "2 min 5 s")]
)
def test_the_end_says_how_long_it_took(seconds: float, text: str) -> None:
    clock = Clock()
    progress = PullProgress("x", clock)
    clock.now = seconds

    assert progress.summary() == f"Pulled image x in {text}"
