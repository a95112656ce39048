"""Cases of an HTTP API as data: what is sent, and the whole of what has to come back."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_ABSENT = object()


@dataclass(frozen=True)
class Answer:
    """What a server said. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def call(
    endpoint: str,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    within: float = 30,
) -> Answer:
    """One request on a connection of its own, with these headers and no others but Host and the length."""
    place = urlsplit(endpoint)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=within)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        sent = {"Connection": "close", **(headers or {})}
        if body is not None and "Transfer-Encoding" not in sent:
            sent["Content-Length"] = str(len(body))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body:
            connection.send(body)
        answer = connection.getresponse()
        data = answer.read()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data)
    finally:
        connection.close()


@dataclass(frozen=True)
class Like:
    """A text that matches a pattern from end to end."""

    pattern: str

    def accepts(self, value: object) -> bool:
        """Whether it does."""
        return isinstance(value, str) and re.fullmatch(self.pattern, value, re.DOTALL) is not None


@dataclass(frozen=True)
class Number:
    """Any number."""

    def accepts(self, value: object) -> bool:
        """Whether it is one."""
        return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Some:
    """An object with at least these fields, a list with at least these items in this order, one after the other or not."""

    parts: Any

    def accepts(self, value: object) -> bool:
        """Whether it has them."""
        if isinstance(self.parts, dict):
            return isinstance(value, dict) and not any(
                differences(value.get(key, _ABSENT), part) for key, part in self.parts.items()
            )
        left = iter(value if isinstance(value, list) else [])
        return all(any(not differences(item, part) for item in left) for part in self.parts)


@dataclass(frozen=True)
class Anything:
    """Whatever it is."""

    def accepts(self, value: object) -> bool:
        """Whether there is something."""
        return value is not _ABSENT


ANY = Anything()
NUMBER = Number()
ID = Like("[0-9a-f]{32}")
TIME = Like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z")


def differences(found: Any, expected: Any, where: str = "$") -> list[str]:
    """What is different, a line each; nothing when all is as expected. Fields that are not expected are differences too."""
    if hasattr(expected, "accepts"):
        return [] if expected.accepts(found) else [f"{where}: {found!r} is not {expected!r}"]
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = []
        for key in {**expected, **found}:
            if key not in expected:
                lines.append(f"{where}.{key}: {found[key]!r} is too much")
            elif key not in found:
                lines.append(f"{where}.{key}: is missing")
            else:
                lines += differences(found[key], expected[key], f"{where}.{key}")
        return lines
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            line
            for place, pair in enumerate(zip(found, expected, strict=True))
            for line in differences(*pair, f"{where}[{place}]")
        ]
    same = type(found) is type(expected) and found == expected
    return [] if same else [f"{where}: {found!r} is not {expected!r}"]


@dataclass(frozen=True)
class Case:
    """One request. `expected` is the decoded body, `b""` for none, or `bytes` to be found to the letter.

    `{name}` in the path stands for an id that a fixture knows.
    """

    name: str
    method: str
    path: str
    status: int = 200
    expected: Any = ANY
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answered: Mapping[str, Any] = field(default_factory=dict)
    """Headers of the answer, by lower-case name; None: it is not there."""

    def run(self, endpoint: str, ids: Mapping[str, str]) -> None:
        """Send it, and fail with everything that is different."""
        path = re.sub(r"{(\w+)}", lambda found: ids[found[1]], self.path)
        answer = call(endpoint, self.method, path, self.body, self.headers)
        assert (answer.status, self._wrong(answer)) == (self.status, []), answer.body[:2000]

    def _wrong(self, answer: Answer) -> list[str]:
        lines = [
            line
            for name, value in self.answered.items()
            for line in differences(answer.headers.get(name), value, f"header {name}")
        ]
        if isinstance(self.expected, bytes):
            return lines if answer.body == self.expected else [*lines, f"{answer.body!r} is not {self.expected!r}"]
        if answer.headers.get("content-type") != "application/json":
            lines.append(f"content type {answer.headers.get('content-type')}")
        return lines + differences(answer.json, self.expected)


def message(text: str | Like | Anything) -> dict[str, Any]:
    """The body of a refusal."""
    return {"message": text}


def page(items: Any, *, number: int = 1, size: int | None = None, pages: int = 1, total: int | None = None) -> Any:
    """A page with everything that one has."""
    count = len(items) if isinstance(items, list) else size
    return {
        "items": items,
        "number": number,
        "size": size if size is not None else count,
        "totalPages": pages,
        "totalItems": total if total is not None else count,
    }
