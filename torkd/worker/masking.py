"""Hides secrets in a stream of text that comes in pieces.

Invariant: what is released never holds a part of a secret, wherever the pieces are cut. So the end of a piece that may be
the beginning of a secret is kept until the next piece shows which it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from torkd.hooks.redact import REDACTED, secret_pattern, secret_values


class Masker:
    """The secrets of one task. Without any it costs nothing."""

    __slots__ = ("_pattern", "_texts", "spans_lines")

    def __init__(self, secrets: Sequence[str]) -> None:
        self._texts = secret_values(secrets) if secrets else ()
        self._pattern = secret_pattern(self._texts)
        self.spans_lines = any("\n" in text or "\r" in text for text in self._texts)
        """Whether the end of a line may be in the middle of a secret."""

    def mask(self, text: str) -> str:
        """The whole text with its secrets hidden."""
        return self._pattern.sub(REDACTED, text) if self._pattern else text

    def release(self, text: str) -> tuple[str, str]:
        """What of a beginning may be shown, masked, and the rest to be prepended to what comes next."""
        if self._pattern is None:
            return text, ""
        cut = len(text) - self._possible_beginning(text)
        for match in self._pattern.finditer(text):
            if match.start() < cut < match.end():
                cut = match.start()
        return self.mask(text[:cut]), text[cut:]

    def _possible_beginning(self, text: str) -> int:
        """How many of the last characters are the beginning, but not all, of a secret."""
        longest = 0
        for secret in self._texts:
            for length in range(min(len(secret) - 1, len(text)), longest, -1):
                if text.endswith(secret[:length]):
                    longest = length
                    break
        return longest
