"""The bytes of a document as text, or a clear refusal: too large, not UTF-8, or not text at all."""

from __future__ import annotations

import codecs
import re

from tork.definition.problems import Unreadable

MAX_BYTES = 10 * 1024 * 1024
"""The largest document that is read unless the caller says otherwise."""

_NOT_UTF_8 = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML forbids in a stream; JSON forbids less, but a job has no use for the rest."""


def as_text(data: bytes | str, max_bytes: int = MAX_BYTES) -> str:
    """The document without its byte order mark. Raises `Unreadable`."""
    if len(data) > max_bytes:
        raise too_large(len(data), max_bytes)
    text = data if isinstance(data, str) else _decoded(data)
    text = text.removeprefix("\ufeff")
    if wrong := _FORBIDDEN.search(text):
        line, column = position(text, wrong.start())
        raise Unreadable(_about_character(wrong[0]), line, column, "encoding")
    return text


def too_large(size: int | None, max_bytes: int) -> Unreadable:
    """The refusal of a document by its size; None when only the limit is known to be passed."""
    has = f"has {size:,}" if size is not None else f"has more than {max_bytes:,}"
    return Unreadable(f"the document {has} bytes (right would be at most {max_bytes:,})", 1, 1, "size")


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of an offset into the text."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _decoded(data: bytes) -> str:
    for mark, name in _NOT_UTF_8.items():
        if data.startswith(mark):
            raise Unreadable(f"the document is {name} text (right would be UTF-8)", 1, 1, "encoding")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        good = data[: error.start].decode()
        line, column = position(good, len(good))
        message = f"the byte 0x{data[error.start]:02X} is not UTF-8 (right would be a text file in UTF-8)"
        raise Unreadable(message, line, column, "encoding") from None


def _about_character(character: str) -> str:
    if character == "\0":
        return "there is a NUL byte here (right would be a text file)"
    return f"the character U+{ord(character):04X} can't stand here (right would be printable text)"
