"""Named servers, in `~/.config/torkctl/config.toml`:

    current = "prod"

    [contexts.prod]
    endpoint = "https://tork.example.org"
    username = "ci"
    password = "…"        # or key = "…"

Invariant: credentials in a file that others can read are refused, and they go only to the endpoint beside them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tork.errors import SettingsError

_KEYS = {"endpoint", "username", "password", "key"}
_SECRET_KEYS = {"password", "key"}


@dataclass(frozen=True, kw_only=True)
class Context:
    """One named server."""

    name: str
    endpoint: str = ""
    username: str = ""
    password: str = ""
    key: str = ""

    @property
    def credentials(self) -> str:
        """Which kind it has."""
        return "key" if self.key else "password" if self.password else ""


def contexts_path(environ: Mapping[str, str]) -> Path:
    """Where the contexts are written."""
    configured = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(configured) if configured else Path.home() / ".config"
    return folder / "torkctl" / "config.toml"


def load_context(name: str | None, environ: Mapping[str, str]) -> Context | None:
    """The context of that name, else the current one, else None. Raises `SettingsError`."""
    path = contexts_path(environ)
    document = read_toml(path)
    if document is None:
        if name:
            raise SettingsError(f"there is no context '{name}': {path} does not exist")
        return None
    contexts = document.get("contexts", {})
    chosen = name or document.get("current", "")
    if not chosen:
        return None
    if not isinstance(contexts, dict) or not isinstance(contexts.get(chosen), dict):
        known = ", ".join(sorted(contexts)) if isinstance(contexts, dict) and contexts else "none"
        raise SettingsError(f"{path}: there is no context '{chosen}' (known: {known})")
    return _context(chosen, contexts[chosen], path)


def read_contexts(environ: Mapping[str, str]) -> tuple[list[Context], str]:
    """All of them by name, and the name of the current one. Raises `SettingsError`."""
    path = contexts_path(environ)
    document = read_toml(path) or {}
    contexts = document.get("contexts", {})
    if not isinstance(contexts, dict) or not all(isinstance(values, dict) for values in contexts.values()):
        raise SettingsError(f"{path}: contexts must be tables, such as [contexts.prod]")
    return [_context(name, contexts[name], path) for name in sorted(contexts)], str(document.get("current", ""))


def read_toml(path: Path) -> dict[str, Any] | None:
    """The file's content, or None when there is none. Raises `SettingsError` when it can't be read."""
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error


def _context(name: str, values: dict[str, Any], path: Path) -> Context:
    for key, value in values.items():
        if key not in _KEYS:
            raise SettingsError(f"{path}: contexts.{name}.{key} is unknown (right would be {', '.join(sorted(_KEYS))})")
        if not isinstance(value, str):
            raise SettingsError(f"{path}: contexts.{name}.{key} must be text in quotes")
    if _SECRET_KEYS & values.keys():
        _refuse_if_others_can_read(path)
    return Context(name=name, **values)


def _refuse_if_others_can_read(path: Path) -> None:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SettingsError(f"{path} holds credentials and others can read it (right would be: chmod 600 {path})")
