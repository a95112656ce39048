"""What tasks print as text for documents: no styles, no control characters, and no more of it than fits."""

from __future__ import annotations

import re

_STYLES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """The text without styles and without characters that have no place in a document."""
    return _UNFIT.sub("", _STYLES.sub("", text).replace("\r\n", "\n")).replace("\r", "\n")


def last_lines(text: str, most_lines: int, most_characters: int, *, is_cut: bool = False) -> str:
    """The last lines that fit; a line in brackets says what is left out."""
    lines = text.rstrip("\n").split("\n") if text else []
    kept = "\n".join(lines[-most_lines:])
    if len(kept) > most_characters:
        _, line_end, rest = kept[-most_characters:].partition("\n")
        kept = rest if line_end and rest else kept[-most_characters:]
    is_cut = is_cut or len(kept) < len(text.rstrip("\n"))
    return f"[only the end of the log]\n{kept}" if is_cut and kept else kept
