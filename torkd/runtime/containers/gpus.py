"""`gpus` of a task as Docker's device requests: the same comma-separated text as `docker run --gpus` takes.

A text that Docker's command would take gives the same request; one whose request the engine could only misunderstand is
refused here, with the reason.
"""

from __future__ import annotations

import re
from typing import Any

from tork.errors import RuntimeFailure

ALL = -1
"""The count that stands for all."""
_CAPABILITY = "gpu"
_KEYS = ("count", "device", "driver", "capabilities", "options")
_FIELD = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)')
_COUNT = re.compile(r"-1|\+?\d{1,9}", re.ASCII)


def device_requests(text: str) -> list[dict[str, Any]]:
    """`HostConfig.DeviceRequests` in Docker's API: one request, or none for an empty text. Raises `RuntimeFailure`."""
    text = text.strip()
    if not text:
        return []
    given = _key_values(text)
    devices = _device_ids(given["device"]) if "device" in given else []
    if devices and "count" in given:
        raise _failure(
            'count and device can\'t be given together (right would be one of them; quote a list, as in "device=0,1")'
        )
    return [
        {
            "Driver": given.get("driver", ""),
            "Count": _count(given["count"]) if "count" in given else 0 if devices else 1,
            "DeviceIDs": devices or None,
            "Capabilities": [_capabilities(given["capabilities"]) if "capabilities" in given else [_CAPABILITY]],
            "Options": _options(given["options"]) if "options" in given else {},
        }
    ]


def _key_values(text: str) -> dict[str, str]:
    """Each key once; a value without a key is the count."""
    given: dict[str, str] = {}
    for field in _fields(text):
        if not field:
            raise _failure(f"{text!r} has an empty field (right would be such as 'count=2,driver=nvidia')")
        name, equals, value = field.partition("=")
        key, value = (name, value) if equals else ("count", name)
        if key not in _KEYS:
            raise _failure(f"unexpected key {key!r} in {field!r} (right would be one of {', '.join(_KEYS)})")
        if key in given:
            raise _failure(f'{key} is given twice (right would be once; quote a list, as in "device=0,1")')
        given[key] = value
    return given


def _fields(text: str) -> list[str]:
    """The fields of one line of CSV, whose quotes enclose whole fields."""
    fields: list[str] = []
    position = 0
    while True:
        found = _FIELD.match(text, position)
        assert found is not None  # a field may be empty
        quoted, plain = found.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        position = found.end()
        if position == len(text):
            return fields
        if text[position] != ",":
            raise _failure(f'{text!r} is not well quoted (right would be quotes around key and value: "device=0,1")')
        position += 1


def _count(text: str) -> int:
    if text == "all":
        return ALL
    if not _COUNT.fullmatch(text):
        raise _failure(f"invalid count {text!r} (right would be 'all' or a number)")
    return int(text)


def _device_ids(text: str) -> list[str]:
    return _names("device", text)


def _capabilities(text: str) -> list[str]:
    names = _names("capabilities", text)
    return names if _CAPABILITY in names else [*names, _CAPABILITY]


def _names(key: str, text: str) -> list[str]:
    names = text.split(",")
    if not all(names):
        raise _failure(f'{key} {text!r} has an empty name (right would be such as "{key}=a,b")')
    return names


def _options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for field in _fields(text):
        name, _, value = field.partition("=")
        if not name:
            raise _failure(f'options {text!r} has one without a name (right would be such as "options=a=1,b=2")')
        options[name] = value
    return options


def _failure(reason: str) -> RuntimeFailure:
    return RuntimeFailure(f"error setting GPUs: {reason}")
