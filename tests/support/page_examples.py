"""The examples of a page of the API: what is typed, what is shown, and whether a real answer is the one that is shown.

Of an example only what differs from run to run may differ: times, ids (each always standing for the same one), the machine's own
names and figures. Lists may be shown shortened; an object that is has the key `…`, and a text that is ends so.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MORE = "…"
SHOWN_PLACE = "localhost:8000"
_HEADING = re.compile(r"^### (.+)$")
_VOLATILE = re.compile(
    r"(?P<key>torkd_[0-9a-f]{32}_[\w-]{43})"
    r"|(?P<id>\b[0-9a-f]{32}\b)"
    r"|(?P<node>\b[0-9A-Za-z]{22}\b)"
    r"|(?P<time>\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"
)
_OF_THE_MACHINE = frozenset({"hostname", "version", "cpuPercent", "port", "subscribers", "unacked", "taskCount"})
"""Fields whose values are those of where the example was tried."""
_SENDING = frozenset({"-d", "--data", "--data-binary", "--json"})


@dataclass(frozen=True, kw_only=True)
class Example:
    """One command of the page."""

    title: str
    """The heading above it."""
    command: str
    shown: str
    """What is shown after it, without a status."""
    status: int
    """200, unless the command prints another."""

    @property
    def method(self) -> str:
        """Of the request, as curl chooses it."""
        words = shlex.split(self.command)
        if "-X" in words:
            return words[words.index("-X") + 1]
        return "POST" if _SENDING & {*words} else "GET"

    @property
    def path(self) -> str:
        """Of the request."""
        (target,) = [word for word in shlex.split(self.command) if word.startswith(f"{SHOWN_PLACE}/")]
        return urlsplit(f"http://{target}").path

    @property
    def is_stream(self) -> bool:
        """Whether events are shown."""
        return self.shown.startswith(("event:", ":"))

    @property
    def is_json(self) -> bool:
        """Whether a value is shown."""
        return self.shown.startswith(("{", "["))


def examples_of(page: str) -> Iterator[Example]:
    """Every command of the page, with what is shown of its answer."""
    title = ""
    block: list[str] | None = None
    for line in page.splitlines():
        if heading := _HEADING.match(line):
            title = heading[1]
        if line == "```console":
            block = []
        elif line == "```" and block is not None:
            yield _example(title, block)
            block = None
        elif block is not None:
            block.append(line)


def _example(title: str, lines: list[str]) -> Example:
    command = lines[0].removeprefix("$ ")
    count = 1
    while not _is_whole(command):
        command += "\n" + lines[count]
        count += 1
    shown = lines[count:]
    has_status = bool(shown) and re.fullmatch(r"\d{3}", shown[-1]) is not None
    status = int(shown.pop()) if has_status else 200
    return Example(title=title, command=command, shown="\n".join(shown), status=status)


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")


def differences(shown: Any, real: Any, names: dict[str, str], where: str = "$") -> list[str]:
    """What is not as shown, a line each. `names` says which real id each shown one stands for, and learns new ones."""
    if isinstance(shown, dict) and isinstance(real, dict):
        return _of_objects(shown, real, names, where)
    if isinstance(shown, list) and isinstance(real, list):
        return _of_lists(shown, real, names, where)
    if isinstance(shown, str) and isinstance(real, str):
        return _of_texts(shown, real, names, where)
    same = type(shown) is type(real) and shown == real
    return [] if same else [f"{where}: {real!r} is not {shown!r}"]


def _of_objects(shown: Mapping[str, Any], real: Mapping[str, Any], names: dict[str, str], where: str) -> list[str]:
    lines = [f"{where}.{key}: is missing" for key in shown if key not in real and key != MORE]
    if MORE not in shown:
        lines += [f"{where}.{key}: {real[key]!r} is not shown" for key in real if key not in shown]
    for key in [key for key in shown if key in real]:
        if key in _OF_THE_MACHINE or (key == "id" and isinstance(real[key], int)):
            lines += [] if type(shown[key]) is type(real[key]) else [f"{where}.{key}: {real[key]!r} is of another kind"]
        else:
            lines += differences(shown[key], real[key], names, f"{where}.{key}")
    return lines


def _of_lists(shown: list[Any], real: list[Any], names: dict[str, str], where: str) -> list[str]:
    """Each item that is shown is there, in this order; an empty list is empty."""
    if real and not shown:
        return [f"{where}: {real!r} is not shown"]
    left, lines = iter(real), []
    for place, item in enumerate(shown):
        lines = [f"{where}[{place}]: is missing"]
        for candidate in left:
            learned = dict(names)
            lines = differences(item, candidate, learned, f"{where}[{place}]")
            if not lines:
                names.update(learned)
                break
        if lines:
            return lines
    return []


def _of_texts(shown: str, real: str, names: dict[str, str], where: str) -> list[str]:
    if shown.endswith(MORE):
        real = real[: len(shown) - 1] + MORE
    told = [f"{where}: {real!r} is not {shown!r}"]
    ours, theirs = list(_VOLATILE.finditer(shown)), list(_VOLATILE.finditer(real))
    if _VOLATILE.split(shown)[::5] != _VOLATILE.split(real)[::5] or len(ours) != len(theirs):
        return told
    for mine, yours in zip(ours, theirs, strict=True):
        if mine.lastgroup != yours.lastgroup:
            return told
        if mine.lastgroup in {"id", "node"} and not _stands_for(mine[0], yours[0], names):
            return [f"{where}: {yours[0]} is not what {mine[0]} stands for elsewhere"]
    return []


def _stands_for(shown: str, real: str, names: dict[str, str]) -> bool:
    """Whether both are of the same thing, as far as is known; from now on they are."""
    if shown not in names and real not in names.values():
        names[shown] = real
    return names.get(shown) == real


def with_names(command: str, names: Mapping[str, str]) -> str:
    """The command about what there really is: ids, and beginnings of ids."""

    def real(found: re.Match[str]) -> str:
        known = [real for shown, real in names.items() if shown.startswith(found[0])]
        return known[0][: len(found[0])] if known else found[0]

    return re.sub(r"\b[0-9a-f]{8,32}\b", real, command)


def events_of(text: str) -> list[dict[str, Any]]:
    """The whole events of a stream; comments and how far it is (`id`) are left out."""
    events = []
    for part in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.splitlines() if ": " in line and not line.startswith(":"))
        if "data" in fields:
            events.append({"event": fields["event"], "data": json.loads(fields["data"])})
    return events


def without_more(value: Any) -> Any:
    """What is shown of a value, without the sign that there is more."""
    if isinstance(value, dict):
        return {key: without_more(inner) for key, inner in value.items() if key != MORE}
    return [without_more(item) for item in value] if isinstance(value, list) else value
