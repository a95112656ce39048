"""Many texts, none of them long, and where they are in another text: looking takes the same time however many they are.

At each place the longest text that begins there is found in a few steps, by a binary search on its length: for every length that the
search for a text passes, the beginning of that length is kept as a mark, with the longest text that it begins with itself, so that
a step that led too far need not be taken back (Waldvogel, Varghese, Turner, Plattner: "Scalable high speed IP routing lookups").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator

LONGEST = 255
"""Characters. Each doubling costs one step more."""
_HEAD_LENGTH = 8
"""Where a text begins is seen by so many of its characters: wherever that is, one sample of the other text lies within them."""


class ManyTexts:
    """The texts; they have 1 to `LONGEST` characters."""

    __slots__ = ("_best", "_characters", "_distance", "_longest", "_ordered", "_sample", "_samples", "_steps")

    def __init__(self, texts: Collection[str]) -> None:
        self._ordered = sorted(texts)
        self._longest = max(map(len, texts))
        self._characters = frozenset().union(*texts)
        head = min(_HEAD_LENGTH, *map(len, texts))
        self._distance = distance = max(head // 2, 1)
        self._sample = sample = head - distance + 1
        self._samples = {text[at : at + sample] for text in texts for at in range(distance)}
        self._steps = [1 << power for power in reversed(range(self._longest.bit_length()))]
        self._best: dict[str, int] = {}
        """Mark to the length of the longest text that it begins with."""
        whole = frozenset(texts)
        for mark in sorted({mark for text in whole for mark in self._marks(text)}, key=len):
            self._best[mark] = len(mark) if mark in whole else self._longest_at(mark, 0)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """For each place at which one begins: that place, and where the longest of them ends."""
        for start in self._candidates(text):
            if length := self._longest_at(text, start):
                yield start, start + length

    def _candidates(self, text: str) -> Iterator[int]:
        """The places at which one may begin: the few before a sample that is in one of them."""
        sample, samples = self._sample, self._samples
        places = range(0, len(text) - sample + 1, self._distance)
        for place in [place for place in places if text[place : place + sample] in samples]:
            yield from range(max(place - self._distance + 1, 0), place + 1)

    def beginning(self, text: str) -> int:
        """How many of the last characters are the beginning, but not all, of one."""
        for length in range(self._most_at_the_end(text), 0, -1):
            end = text[len(text) - length :]
            place = bisect_right(self._ordered, end)  # whatever begins with it, and is longer, comes next
            if place < len(self._ordered) and self._ordered[place].startswith(end):
                return length
        return 0

    def _most_at_the_end(self, text: str) -> int:
        """Of how many of the last characters a beginning could be made."""
        last = text[max(len(text) - self._longest + 1, 0) :]
        return next((n for n, character in enumerate(reversed(last)) if character not in self._characters), len(last))

    def _marks(self, text: str) -> Iterator[str]:
        """Its beginnings of the lengths at which the search for it takes a step; the last one is all of it."""
        length = 0
        for step in self._steps:
            if len(text) & step:
                length += step
                yield text[:length]

    def _longest_at(self, text: str, start: int) -> int:
        """The length of the longest that begins there, or 0."""
        end, longest, known = start, 0, self._best
        for step in self._steps:
            if end + step <= len(text) and (found := known.get(text[start : end + step])) is not None:
                end, longest = end + step, found
        return longest
