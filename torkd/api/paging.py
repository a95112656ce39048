"""`page` and `size` of lists. A size outside its bounds is moved to the nearest; what is no number is refused."""

from __future__ import annotations

import re

import falcon

from torkd.api.errors import refusal

_NUMBER = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def page_number(req: falcon.Request, name: str = "page") -> int:
    """The page asked for, from 1."""
    return max(_integer(req, name, "page number" if name == "page" else name, default=1), 1)


def page_size(req: falcon.Request, name: str = "size", *, default: int, most: int) -> int:
    """How many items a page has at most."""
    return min(max(_integer(req, name, name, default=default), 1), most)


def bounded(req: falcon.Request, name: str, *, default: int, most: int) -> int:
    """A number of things, at least one."""
    accepted = f" (right would be a number from 1 to {most})"
    return min(max(_integer(req, name, name, default=default, advice=accepted), 1), most)


def log_page_size(req: falcon.Request) -> int:
    """How many parts a page of a log has at most."""
    return page_size(req, default=25, most=100)


def listed(req: falcon.Request, name: str) -> tuple[str, ...]:
    """The values of a parameter that may be repeated and hold several values between commas."""
    texts = req.get_param_as_list(name) or []
    return tuple(value.strip() for text in texts for value in text.split(",") if value.strip())


def _integer(req: falcon.Request, name: str, noun: str, *, default: int, advice: str = "") -> int:
    text = req.get_param(name)
    if text is None or text == "":
        return default
    if not _NUMBER.fullmatch(text):
        raise refusal(400, f"invalid {noun}: {text}{advice}")
    return int(text)
