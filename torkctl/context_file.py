"""Changing the file of contexts as a careful person would: the lines that change, and no others.

Invariants: whatever is written says exactly what was meant, or nothing is written; nobody else can read it at any moment, and
it is whole at every moment.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from tork.errors import NotFound, SettingsError
from torkctl.contexts import contexts_path, read_toml
from torkctl.errors import UsageProblem

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CURRENT = re.compile(r"\s*current\s*=")


class ContextFile:
    """The file as text, and what it is to say."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines(keepends=True)
        self._meant: dict[str, Any] = tomllib.loads(text)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> ContextFile:
        """The file as it is, or an empty one. Raises `SettingsError` when it can't be read."""
        path = contexts_path(environ)
        if read_toml(path) is None:
            return cls(path, "")
        return cls(path, path.read_bytes().decode())

    @property
    def current(self) -> str:
        """The context that counts where none is named."""
        return str(self._meant.get("current", ""))

    def refuse_known(self, name: str) -> None:
        """Raises `UsageProblem` when there is a context of that name, or it can't be one."""
        if not name.isprintable() or not name.strip():
            raise UsageProblem("a context's name has signs that can be printed (right would be e.g. prod)")
        if name in self._contexts():
            raise UsageProblem(
                f"there is already a context '{name}' (right would be torkctl context remove {name} first)"
            )

    def add(self, name: str, values: Mapping[str, str]) -> None:
        """Add a context of that name."""
        self.refuse_known(name)
        self._end_last_line()
        if self._lines:
            self._lines.append("\n")
        self._lines.append(f"[contexts.{_key(name)}]\n")
        self._lines += [f"{key} = {_text(value)}\n" for key, value in values.items()]
        self._meant.setdefault("contexts", {})[name] = dict(values)

    def use(self, name: str) -> None:
        """Make it the current one."""
        self._require(name)
        line = f"current = {_text(name)}\n"
        known = self._line_of_current()
        if known is None:
            self._lines[0:0] = [line, "\n"] if self._lines else [line]
        else:
            comment = self._lines[known].partition("#")[2].strip()
            self._lines[known] = line if not comment else f"{line.rstrip()}  # {comment}\n"
        self._meant["current"] = name

    def remove(self, name: str) -> None:
        """Remove it. When it was the current one, there is none."""
        self._require(name)
        start = next((at for at, line in enumerate(self._lines) if _table(line) == ["contexts", name]), None)
        if start is None:
            raise self._beyond_us()
        later = (at for at in range(start + 1, len(self._lines)) if self._lines[at].lstrip().startswith("["))
        end = next(later, len(self._lines))
        while end > start + 1 and end < len(self._lines) and self._lines[end - 1].lstrip().startswith("#"):
            end -= 1  # what stands right above the next one is about that
        del self._lines[start:end]
        del self._meant["contexts"][name]
        if self.current == name:
            known = self._line_of_current()
            if known is not None:
                del self._lines[known]
            del self._meant["current"]

    def write(self) -> None:
        """Put it in place, for its owner only. Raises `SettingsError` when that can't be."""
        text = "".join(self._lines)
        try:
            said = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            said = {}
        if _without_empty(said) != _without_empty(self._meant):
            raise self._beyond_us()
        place = Path(os.path.realpath(self._path))  # a link, as people have to their dotfiles, stays one
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, written = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")  # mode 0600
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(written).replace(place)
            except BaseException:
                Path(written).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise SettingsError(f"{place} can't be written: {error.strerror or error}") from error

    def _contexts(self) -> Mapping[str, Any]:
        contexts = self._meant.get("contexts", {})
        if not isinstance(contexts, dict):
            raise SettingsError(f"{self._path}: contexts must be tables, such as [contexts.prod]")
        return contexts

    def _require(self, name: str) -> None:
        if name not in self._contexts():
            raise NotFound(f"there is no context '{name}' (known: {', '.join(sorted(self._contexts())) or 'none'})")

    def _line_of_current(self) -> int | None:
        for at, line in enumerate(self._lines):
            if line.lstrip().startswith("["):
                return None
            if _CURRENT.match(line):
                return at
        return None

    def _end_last_line(self) -> None:
        if self._lines and not self._lines[-1].endswith("\n"):
            self._lines[-1] += "\n"

    def _beyond_us(self) -> SettingsError:
        return SettingsError(
            f"{self._path} is written in a way that can't be changed safely: nothing was written (right would be to"
            " change it by hand)"
        )


def _table(line: str) -> list[str] | None:
    """The names in the header of a table, or None when the line is none."""
    if not line.lstrip().startswith("["):
        return None
    try:
        document: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    names: list[str] = []
    while isinstance(document, dict) and document:
        [(name, document)] = document.items()
        names.append(name)
    return names


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """The last context leaves no table of contexts behind; both say the same."""
    compared = deepcopy(document)
    if not compared.get("contexts", True):
        del compared["contexts"]
    return compared


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    """A basic string of TOML, which JSON's are too, but for one sign."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
