"""From the environment and at most one file to checked settings, or to one error that names every wrong value.

Reading has no side effects and may be repeated: SIGHUP reads again and takes over what can change live.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tork.errors import SettingsError
from torkd.settings.addresses import is_loopback
from torkd.settings.collecting import NUMBER_TABLES, Collected, collect, given_settings, table_of_entry
from torkd.settings.consistency import Registered, find_conflicts, find_oddities
from torkd.settings.derived import DERIVED, Machine
from torkd.settings.files import SYSTEM_DIRECTORY, expand_home, find_file, read_file
from torkd.settings.kinds import Duration, FilePath, Kind, Numbers
from torkd.settings.model import KEYS, Settings, build_settings
from torkd.settings.origins import Origin, one_line, shown
from torkd.settings.sections.coordinator import COORDINATOR_QUEUES

_DURATIONS = tuple(key.name for key in KEYS.values() if isinstance(key.kind, Duration))


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Settings with where each came from, and what the operator should be told about them."""

    settings: Settings
    origins: Mapping[str, Origin]
    # for every key; entries of a table of numbers and of custom sections have their own
    warnings: tuple[str, ...] = ()
    file: Path | None = None

    def is_explicit(self, key: str) -> bool:
        """Whether a file or a variable set this key, or an entry of this table. Raises `KeyError` for no such key."""
        if key not in KEYS:
            raise KeyError(key)
        names = [key] if key not in NUMBER_TABLES else [name for name in self.origins if name.startswith(f"{key}.")]
        return any(self.origins[name].kind != "default" for name in names)

    def runtime_type(self, *, standalone: bool) -> str:
        """The runtime to use: standalone takes what the machine has (`auto`) when nothing says which.

        `auto` runs tasks without an image as plain processes, so it is not assumed once other machines can reach
        the API.
        """
        address = self.settings.coordinator.address
        if standalone and not self.is_explicit("runtime.type") and (address is None or is_loopback(address)):
            return "auto"
        return self.settings.runtime.type


def load_settings(
    environ: Mapping[str, str],
    *,
    cwd: Path,
    home: Path,
    system: Path = SYSTEM_DIRECTORY,
    is_root: bool | None = None,
    known_brokers: Collection[str] = (),
    known_datastores: Collection[str] = (),
    known_runtimes: Collection[str] = (),
    given: Mapping[str, Any] | None = None,
) -> Loaded:
    """The settings in force. Raises `SettingsError` with one line for every wrong value, or for the file.

    `given` are values by key that win over all else.
    `known_…` are names of registered components, which the `type` settings may then name.
    """
    registered = Registered(known_brokers, known_datastores, known_runtimes)
    machine = Machine(cwd, home, os.geteuid() == 0 if is_root is None else is_root)
    path = find_file(environ, cwd=cwd, home=home, system=system)
    file = read_file(path) if path is not None else None
    collected = collect(environ, file, registered.sections(), given_settings(given) if given else None)
    values = _complete(_read_values(collected), machine)
    for key, reason in find_conflicts(values, registered):
        _add_problem(collected, key, values[key], reason)
    if collected.problems:
        raise SettingsError("\n".join(collected.problems))
    return Loaded(
        settings=build_settings(values, collected.custom),
        origins=_origins(collected),
        warnings=(*collected.warnings, *_odd_values(collected)),
        file=file.path if file else None,
    )


def _read_values(collected: Collected) -> dict[str, Any]:
    """The explicit values by key; a wrong one becomes a problem and is left out."""
    values: dict[str, Any] = {}
    for name, raw in collected.values.items():
        table = table_of_entry(name)
        try:
            value = _kind_of(name, table).read(raw.value)
        except ValueError as error:
            _add_problem(collected, name, raw.value, str(error))
            continue
        if table:
            values.setdefault(table, {})[name.removeprefix(f"{table}.")] = value
        else:
            values[name] = value
    return values


def _kind_of(name: str, table: str) -> Kind:
    kind = KEYS[table or name].kind
    return kind.entry if isinstance(kind, Numbers) else kind


def _complete(explicit: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """All values: the explicit ones, the defaults, and then the defaults that depend on others."""
    values = {key.name: explicit.get(key.name, key.default) for key in KEYS.values()}
    for name, derived in DERIVED.items():
        if name not in explicit:
            values[name] = derived.compute(values, machine)
    for key in KEYS.values():
        if isinstance(key.kind, FilePath) and values.get(key.name) is not None:
            values[key.name] = machine.cwd / expand_home(str(values[key.name]), machine.home)
    served = {name: size for name, size in values["worker.queues"].items() if name not in COORDINATOR_QUEUES}
    values["worker.queues"] = served or KEYS["worker.queues"].default
    return values


def _add_problem(collected: Collected, key: str, value: object, reason: str) -> None:
    secret = KEYS[table_of_entry(key) or key].kind.secret
    raw = collected.values.get(key)
    place = raw.origin if raw else _default_origin(key)
    written = raw.value if raw else KEYS[key].kind.write(value)
    collected.problems.append(f"{place}: {one_line(key)} = {shown(written, secret)}: {one_line(reason)}")


def _odd_values(collected: Collected) -> Iterator[str]:
    for key, sentence in find_oddities(collected.values, _DURATIONS):
        yield f"{collected.values[key].origin}: {key}: {sentence}"


def _default_origin(key: str) -> Origin:
    return Origin("default", DERIVED[key].words if key in DERIVED else KEYS[key].kind.default_text)


def _origins(collected: Collected) -> dict[str, Origin]:
    defaults = {name: _default_origin(name) for name in KEYS}
    explicit = {name: raw.origin for name, raw in collected.values.items()}
    return defaults | explicit | collected.custom_origins
