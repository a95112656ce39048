"""Sums up the news of a pull: how far it is, and now and then one short line that says so.

Docker tells the size of a layer only when its download begins, and unpacks what it has fetched; Podman tells less. So a line
compares sizes only when all are known, and `percent`, which is an estimate, never goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torkd.runtime.containers.engine import PullEvent

LINE_SECONDS = 5.0
"""At least so much lies between two lines."""
_NEW = frozenset({"pulling fs layer", "waiting"})
_FETCHED = frozenset({"verifying checksum", "download complete"})
_HERE = frozenset({"pull complete", "already exists"})
_MEGABYTE = 1_000_000


@dataclass
class _Layer:
    current: int = 0
    total: int = 0
    is_fetched: bool = False
    is_done: bool = False
    unpacks: bool = False

    @property
    def fraction(self) -> float:
        if self.is_fetched:
            return 1.0
        return min(self.current / self.total, 1.0) if self.total else 0.0


class PullProgress:
    """Of one pull. `clock` counts seconds, from whenever."""

    def __init__(self, image: str, clock: Callable[[], float]) -> None:
        self._image = image
        self._clock = clock
        self._began_at = self._said_at = clock()
        self._layers: dict[str, _Layer] = {}
        self._said = ""
        self.percent = 0.0
        """Of what has to be fetched, from 0 to 100."""

    def take(self, event: PullEvent) -> str | None:
        """The next piece of news; a line to print, if it is time for one and it says something new."""
        if not self._note(event):
            return None
        self.percent = max(self.percent, 100 * self._fraction())
        now = self._clock()
        if now - self._said_at < LINE_SECONDS or (line := self._line()) == self._said:
            return None
        self._said, self._said_at = line, now
        return line

    def summary(self) -> str:
        """That it is done, and how long it took."""
        return f"Pulled image {self._image} in {_duration(self._clock() - self._began_at)}"

    def _note(self, event: PullEvent) -> bool:
        status = event.status.lower()
        is_sized = status in {"downloading", "extracting"}
        if not event.layer or not (is_sized or status in _NEW | _FETCHED | _HERE):
            return False
        layer = self._layers.setdefault(event.layer, _Layer())
        if status == "downloading":
            layer.current, layer.total = max(event.current, 0), max(event.total, layer.total)
        if status in _FETCHED or status in _HERE or status == "extracting":
            layer.is_fetched = True
        layer.is_done |= status in _HERE
        layer.unpacks |= status == "extracting"
        return True

    def _fraction(self) -> float:
        fetched, total = self._bytes()
        if total:
            return fetched / total
        return sum(layer.fraction for layer in self._layers.values()) / len(self._layers)

    def _bytes(self) -> tuple[int, int]:
        """How much is fetched, of how much; of 0 when that is not known."""
        layers = self._layers.values()
        fetched = sum(
            layer.total if layer.is_fetched else min(layer.current, layer.total or layer.current) for layer in layers
        )
        is_known = all(layer.total or layer.is_fetched for layer in layers)
        return fetched, sum(layer.total for layer in layers) if is_known else 0

    def _line(self) -> str:
        layers = self._layers.values()
        there, count = sum(layer.is_fetched for layer in layers), len(layers)
        if there == count and any(layer.unpacks for layer in layers):
            return f"{self._image}: unpacked {sum(layer.is_done for layer in layers)} of {count} layers"
        line = f"{self._image}: {there} of {count} layers"
        fetched, total = self._bytes()
        if total:
            return f"{line}, {_size(fetched)} of {_size(total)} ({100 * fetched / total:.0f} %)"
        return f"{line}, {_size(fetched)}" if fetched else line


def _size(number: int) -> str:
    megabytes = number / _MEGABYTE
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
