"""Hides secrets in a stream of text that comes in pieces.

Invariant: however the text is cut, what is shown of the pieces is what would be shown of the whole. So the end of a piece that may
be the beginning of a secret is kept until the next piece shows which it is: always less than the longest text that is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from torkd.hooks.secret_texts import hide_spans, merged, secret_texts


class Masker:
    """The secrets of one task. Without any it costs nothing."""

    __slots__ = ("_secrets", "spans_lines")

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secret_texts(secrets)
        self.spans_lines = self._secrets.spans_lines
        """Whether the end of a line may be in the middle of a secret."""

    def mask(self, text: str, hidden: int = 0) -> str:
        """The whole text with its secrets hidden. The first `hidden` characters belong to one whose mark was shown before."""
        if not self._secrets:
            return text
        if not hidden:
            return self._secrets.hide(text)
        (_, end), *spans = merged([(0, hidden), *self._secrets.spans(text)])
        return hide_spans(text[end:], [(start - end, stop - end) for start, stop in spans])

    def release(self, text: str, hidden: int = 0) -> tuple[str, str, int]:
        """What of a beginning may be shown, masked; the rest, to be prepended to what comes next; and how much of that is hidden."""
        if not self._secrets:
            return text, "", 0
        is_whole = not self.spans_lines and text.endswith(("\n", "\r"))
        cut = len(text) - (0 if is_whole else self._secrets.beginning(text))
        spans = self._secrets.spans(text)
        if not spans and not hidden:
            return text[:cut], text[cut:], 0
        spans = merged([*([(0, hidden)] if hidden else []), *spans])
        # One that reaches beyond the cut shows its mark now: what of it is in the rest is hidden already.
        beyond = max([0, *(end - cut for start, end in spans if start < cut)])
        shown = [(start, min(end, cut)) for start, end in spans if start < cut]
        if hidden and cut:
            (_, end), *others = shown
            return hide_spans(text[end:cut], [(start - end, stop - end) for start, stop in others]), text[cut:], beyond
        return hide_spans(text[:cut], shown), text[cut:], beyond if cut else hidden
