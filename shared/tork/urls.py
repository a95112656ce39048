"""What counts as an address of the web, for job files and for addresses that come out of templates."""

from __future__ import annotations

from urllib.parse import urlsplit

A_URL = "'https://example.com/hook'"
"""What is shown as right."""


def not_a_url(text: str) -> str:
    """Why the text is not an http or https address with a host; empty when it is one. Does not repeat the text."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # a wrong port shows only when it is asked for
    except ValueError as error:
        return f"can't be read as an address: {str(error).partition('(')[0].strip().lower()}"
    if parts.scheme not in {"http", "https"}:
        return "is not an http or https address"
    if not parts.hostname:
        return "names no host"
    if any(character.isspace() or not character.isprintable() for character in text):
        return "holds white space"
    return ""
