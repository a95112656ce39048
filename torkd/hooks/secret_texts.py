"""The texts that give a job's secrets away, and where they are in another text.

A secret is looked for as it is and as it looks after the usual ways of writing it down: JSON, URLs, base64, lines of their own.
Invariants: every place of every text is covered, also where two of them overlap; looking takes time in proportion to the text,
whatever the secrets are, for both may be of anybody's making; and what is kept for the next time has a bounded size.
"""

from __future__ import annotations

import json
import threading
from array import array
from base64 import b64encode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

from torkd.hooks.many_texts import LONGEST, ManyTexts

REDACTED = "[REDACTED]"
MIN_SECRET_LENGTH = 4
"""Replaced everywhere, shorter ones would garble the text and, by that, give themselves away."""
_MIN_LINE_LENGTH = 8
"""Lines of a secret of several lines, such as a private key, are hidden one by one too when they have this length."""
_MIN_BASE64_BYTES = 8
"""In base64 fewer bytes look like many a word."""
_FEW = 100
"""So many texts are looked for sooner one after the other than all at once."""
_HEAD_LENGTH = 8
_KEPT_CHARACTERS = 16 * 1024 * 1024
"""Of texts that are kept for the next time."""
_AS_HTML = {ord(character): f"\\u{ord(character):04x}" for character in "&<>\u2028\u2029"}
"""What `toJSON` and many programs escape besides, so that JSON may stand in a page."""

Span = tuple[int, int]


class SecretTexts:
    """All texts that are looked for. Without any it costs nothing."""

    __slots__ = ("_many", "_shortest", "_texts", "_whole", "character_count", "spans_lines")

    def __init__(self, texts: Iterable[str]) -> None:
        self._whole = frozenset(texts)
        short = [text for text in self._whole if len(text) <= LONGEST]
        self._many = ManyTexts(short) if len(short) > _FEW else None
        alone = self._whole.difference(short) if self._many else self._whole
        self._texts = [_Text(text) for text in sorted(alone, key=lambda text: (-len(text), text))]
        self._shortest = min(map(len, self._whole), default=0)
        self.character_count = sum(map(len, self._whole))
        self.spans_lines = any("\n" in text or "\r" in text for text in self._whole)
        """Whether the end of a line may be in the middle of one."""

    def __bool__(self) -> bool:
        return bool(self._whole)

    def hide(self, text: str) -> str:
        """The text without them."""
        if len(text) < self._shortest or not self._whole:
            return text
        spans = self.spans(text)
        return hide_spans(text, spans) if spans else text

    def spans(self, text: str) -> list[Span]:
        """Where they are, in order; what overlaps is one."""
        found = [span for wanted in self._texts if wanted.text in text for span in wanted.spans(text)]
        if self._many:
            found += self._many.spans(text)
        return merged(found) if len(found) > 1 else found

    def __contains__(self, text: str) -> bool:
        """Whether this is one of them and nothing else."""
        return text in self._whole

    def beginning(self, text: str) -> int:
        """How many of the last characters are the beginning, but not all, of one."""
        longest = self._many.beginning(text) if self._many else 0
        last = text[-1:]
        for wanted in self._texts:
            if len(wanted.text) - 1 <= longest:
                break  # the longest come first
            if last in wanted.text:
                longest = max(longest, wanted.beginning(text))
        return longest


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order, and those that overlap as one. Neighbours stay two."""
    together: list[Span] = []
    for start, end in sorted(spans):
        if together and start < together[-1][1]:
            together[-1] = (together[-1][0], max(together[-1][1], end))
        else:
            together.append((start, end))
    return together


def hide_spans(text: str, spans: Sequence[Span]) -> str:
    """The text with a mark in each of these places."""
    shown, last = [], 0
    for start, end in spans:
        shown += [text[last:start], REDACTED]
        last = end
    return "".join((*shown, text[last:]))


def secret_texts(values: Iterable[str]) -> SecretTexts:
    """What to look for so that these values stay secret."""
    return _KEPT.of(tuple(values))


class _Kept:
    """The texts of the values that were asked for last: as many as fit, and the very last in any case."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_values: OrderedDict[tuple[str, ...], SecretTexts] = OrderedDict()
        self._character_count = 0

    def of(self, values: tuple[str, ...]) -> SecretTexts:
        with self._lock:
            if (known := self._by_values.get(values)) is not None:
                self._by_values.move_to_end(values)
                return known
        made = _made(values)
        with self._lock:
            if values not in self._by_values:
                self._by_values[values] = made
                self._character_count += made.character_count
            while self._character_count > _KEPT_CHARACTERS and len(self._by_values) > 1:
                _, oldest = self._by_values.popitem(last=False)
                self._character_count -= oldest.character_count
        return made


_KEPT = _Kept()


def _made(values: tuple[str, ...]) -> SecretTexts:
    found: set[str] = set()
    for value in values:
        text = value.strip()
        # A part of the mark itself shows nothing that the mark does not show.
        if len(text) >= MIN_SECRET_LENGTH and text not in REDACTED:
            found.update(_forms(text))
    return SecretTexts(found)


def _forms(text: str) -> Iterator[str]:
    yield text
    for ascii_only in (True, False):
        in_json = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield in_json
        yield in_json.translate(_AS_HTML)
    data = text.encode("utf-8", "surrogatepass")
    yield quote(data)
    yield quote(data, safe="")
    yield quote_plus(data)
    if "\n" in text:
        yield "\r\n".join(text.splitlines())
        yield from (line for line in map(str.strip, text.splitlines()) if len(line) >= _MIN_LINE_LENGTH)
    if len(data) >= _MIN_BASE64_BYTES:
        yield from _in_base64(data)


def _in_base64(data: bytes) -> Iterator[str]:
    """However many bytes stand before the data: only the characters that are made of nothing else."""
    for before in range(3):
        padded = bytes(before) + data
        first, end = -(-before * 8 // 6), len(padded) * 8 // 6
        yield b64encode(padded).decode()[first:end]
        yield urlsafe_b64encode(padded).decode()[first:end]


class _Text:
    """One text that is looked for."""

    __slots__ = ("_borders", "_lock", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._borders = array("L", [0])
        self._lock = threading.Lock()

    def _border(self, length: int) -> int:
        """The length of the longest shorter beginning that the beginning of this length ends with (Knuth, Morris, Pratt).

        They are worked out as far as they are needed: of most texts little is in those that are looked at.
        """
        if len(self._borders) < length:
            with self._lock:
                self._work_out(length)
        return self._borders[length - 1]

    def _work_out(self, length: int) -> None:
        text, borders = self.text, self._borders
        known = borders[-1]
        for character in text[len(borders) : length]:
            while known and text[known] != character:
                known = borders[known - 1]
            if text[known] == character:
                known += 1
            borders.append(known)

    def spans(self, text: str) -> Iterator[Span]:
        wanted, length = self.text, len(self.text)
        period = length - self._border(length)  # after so many characters it may begin again, over itself
        start = text.find(wanted)
        while start >= 0:
            end = start + length
            while period < length and text.startswith(wanted[length - period :], end):
                end += period
            yield start, end
            start = text.find(wanted, end - length + 1)

    def beginning(self, text: str) -> int:
        wanted = self.text
        known, at, end = 0, max(len(text) - len(wanted) + 1, 0), len(text)
        while at < end:
            if not known:
                at = self._next_place(text, at)
                if at < 0:
                    return 0
            character = text[at]
            while known and wanted[known] != character:
                known = self._border(known)
            if wanted[known] == character:
                known += 1
            at += 1
        return known

    def _next_place(self, text: str, at: int) -> int:
        """Where it may begin next: as far as that is in the text by several characters, else by its first one; -1 if nowhere."""
        head = self.text[:_HEAD_LENGTH]
        found = text.find(head, at)
        return found if found >= 0 else text.find(head[0], max(at, len(text) - len(head) + 1))
