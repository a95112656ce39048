"""Finding and reading the configuration file.

`TORK_CONFIG` names the only file; without it the first that exists counts, and nothing is merged.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tork.errors import SettingsError
from torkd.settings.origins import Origin, one_line

SYSTEM_DIRECTORY = Path("/etc/tork")
MAX_DEPTH = 50
_MAX_BYTES = 4_000_000
_MULTI_LINE_QUOTES = ('"""', "'''")


@dataclass(frozen=True)
class ConfigFile:
    """A file that was read: its values as TOML gave them, and the line each key is on as far as it is known."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)

    def origin(self, key: str) -> Origin:
        """Where the file has this key, or the nearest table around it."""
        nearest = key
        while nearest not in self.lines and "." in nearest:
            nearest = nearest.rpartition(".")[0]
        line = self.lines.get(nearest)
        path = one_line(str(self.path))
        return Origin("file", f"{path}:{line}" if line else path)


class GivenSettings(ConfigFile):
    """What a program gives, in the shape of a file."""

    def origin(self, key: str) -> Origin:
        return Origin("program", one_line(key))


def find_file(environ: Mapping[str, str], *, cwd: Path, home: Path, system: Path) -> Path | None:
    """The file that counts, or None. Raises `SettingsError` when `TORK_CONFIG` names one that is not there."""
    named = environ.get("TORK_CONFIG", "")
    if named:
        path = cwd / expand_home(named, home)
        if not _exists(path):
            raise SettingsError(
                f"could not find config file in: {one_line(named)} (right would be the path of a TOML file in TORK_CONFIG)"
            )
        return path
    candidates = (cwd / "config.local.toml", cwd / "config.toml", home / "tork" / "config.toml", system / "config.toml")
    return next((path for path in candidates if _exists(path)), None)


def read_file(path: Path) -> ConfigFile:
    """The values of a file. Raises `SettingsError` when it can't be read or is not TOML."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _unusable(path, f"can't be read: {error.strerror or error}") from error
    if len(content) > _MAX_BYTES:
        raise _unusable(path, f"is larger than {_MAX_BYTES} bytes, which no configuration file is")
    try:
        text = content.decode("utf-8-sig")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(path, f"line {line} is not UTF-8 text, as TOML has to be") from error
    except RecursionError as error:
        raise _unusable(path, "is nested too deeply") from error
    except ValueError as error:
        raise _unusable(path, f"is not TOML: {error}") from error
    if _depth(values) > MAX_DEPTH:
        raise _unusable(path, f"is nested too deeply (right would be at most {MAX_DEPTH} levels)")
    return ConfigFile(path, values, _lines(text))


def expand_home(text: str, home: Path) -> Path:
    """A path with a leading `~` replaced; only the own home directory is known."""
    return home / text[1:].lstrip("/") if text == "~" or text.startswith("~/") else Path(text)


def _exists(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return False  # a directory on the way that may not be entered, or a NUL in the name


def _depth(values: object) -> int:
    """How deeply tables and arrays are nested. Not recursive: TOML's headers can nest thousands of levels."""
    depth = 0
    level = [values]
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
        if depth > MAX_DEPTH:
            break
    return depth


def _unusable(path: Path, reason: str) -> SettingsError:
    return SettingsError(one_line(f"{path}: {reason}"))


def _lines(text: str) -> dict[str, int]:
    """The line of each key, and of each table: where its own header is, or its first key."""
    lines: dict[str, int] = {}
    for key, line in _key_lines(text):
        for dots in range(1, key.count(".") + 1):
            lines.setdefault(key.rsplit(".", dots)[0], line)
        lines[key] = line
    return lines


def _key_lines(text: str) -> Iterator[tuple[str, int]]:
    """Keys with their lines, later ones last. Only the usual layout is understood: this is for messages."""
    prefix = ""
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:
            closing = "" if closing in line else closing
            continue
        closing = next((quotes for quotes in _MULTI_LINE_QUOTES if line.count(quotes) == 1), "")
        content = line.strip()
        if content.startswith("["):
            header = _key_of(content.strip("[").partition("]")[0])
            prefix = f"{header}." if header else prefix
            yield prefix[:-1], number
        elif "=" in content and not content.startswith("#"):
            yield prefix + _key_of(content.partition("=")[0]), number


def _key_of(written: str) -> str:
    """A dotted key without its quotes: TOML itself is asked what they mean."""
    try:
        table: Any = tomllib.loads(f"{written} = 0")
    except (ValueError, RecursionError):
        return ""
    segments: list[str] = []
    while isinstance(table, dict) and table:
        segment, table = next(iter(table.items()))
        segments.append(segment)
    return ".".join(segments)
