"""From a file and the environment to raw values by key, with what is unknown or in the wrong place.

The environment wins, key by key. A variable is `TORK_` and the key in capitals, dots as `_`; known keys are matched
first, because a key may hold `_` itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torkd.settings.files import MAX_DEPTH, ConfigFile, GivenSettings
from torkd.settings.kinds import Numbers, Texts
from torkd.settings.model import KEYS, TABLES
from torkd.settings.origins import Origin, Raw, one_line

_PREFIX = "TORK_"
_CLIENT_PREFIX = "TORK_CLIENT_"
_NOT_SETTINGS = frozenset({"TORK_CONFIG", "TORK_OUTPUT", "TORK_PROGRESS"})
# TORK_CLIENT_* and TORK_OUTPUT are torkctl's, and a task sees TORK_OUTPUT and TORK_PROGRESS
_CUSTOM_ROOTS = frozenset({"broker", "datastore", "mounter"})
# tables in which a registered component may have a section of its own


@dataclass
class Collected:
    """What was written, and what is wrong with it before any value is read."""

    known_sections: frozenset[str] = frozenset()
    # sections of components that are registered: `broker.kafka`
    values: dict[str, Raw] = field(default_factory=dict)
    # by key; an entry of a table of numbers is by key and name: `worker.queues.video`
    custom: dict[str, dict[str, Any]] = field(default_factory=dict)
    custom_origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def collect(
    environ: Mapping[str, str],
    file: ConfigFile | None,
    known_sections: frozenset[str],
    given: GivenSettings | None = None,
) -> Collected:
    """Everything that was set: the environment over the file, and what a program gave over both."""
    collected = Collected(known_sections)
    if file is not None:
        _add_table(collected, file, file.values, "")
    _add_environment(collected, environ)
    if given is not None:
        warned = len(collected.warnings)
        _add_table(collected, given, given.values, "")
        # A program can't be told on a terminal.
        collected.problems += [warning.replace(" is ignored", "") for warning in collected.warnings[warned:]]
        del collected.warnings[warned:]
    return collected


def variable_of(key: str) -> str:
    """The environment variable that sets a key."""
    return _PREFIX + key.upper().replace(".", "_")


def table_of_entry(key: str) -> str:
    """The table of numbers that an entry is in, or an empty text: `worker.queues` of `worker.queues.video`."""
    return next((table for table in NUMBER_TABLES if key.startswith(f"{table}.")), "")


def given_settings(settings: Mapping[str, Any]) -> GivenSettings:
    """What a program gives by key, as tables: `{"worker.queues.default": 4}`, or `{"worker": {"queues": {"default": 4}}}`."""
    tables: dict[str, Any] = {}
    for key, value in settings.items():
        table = table_of_entry(key)
        first, *others = [*table.split("."), key.removeprefix(f"{table}.")] if table else key.split(".")
        for name in reversed(others):
            value = {name: value}
        _merge(tables, first, value)
    return GivenSettings(path=Path(), values=tables)


def _merge(tables: dict[str, Any], name: str, value: Any) -> None:
    """What is in both is as the value says; the value itself stays its owner's."""
    if not isinstance(value, Mapping):
        tables[name] = copy.deepcopy(value)
        return
    known = tables.get(name)
    if not isinstance(known, dict):
        known = tables[name] = {}
    for inner, each in value.items():
        _merge(known, inner, each)


NUMBER_TABLES = tuple(key.name for key in KEYS.values() if isinstance(key.kind, Numbers))
_VARIABLES = {variable_of(name): name for name in KEYS}
_TABLE_VARIABLES = {variable_of(name): name for name in (*TABLES, *NUMBER_TABLES, *_CUSTOM_ROOTS)}


def _add_table(collected: Collected, file: ConfigFile, table: Mapping[str, Any], prefix: str) -> None:
    for name, value in table.items():
        key = prefix + name
        if key in NUMBER_TABLES:
            _add_numbers(collected, file, key, value)
        elif key in KEYS:
            _add_value(collected, key, Raw(value, file.origin(key)))
        elif key in TABLES or key in _CUSTOM_ROOTS:
            if isinstance(value, dict):
                _add_table(collected, file, value, f"{key}.")
            else:
                collected.problems.append(_not_a_value(file.origin(key), key))
        elif _is_custom(collected, key) and isinstance(value, dict):
            _merge(collected.custom, key, value)
            for path in map(".".join, _custom_paths({key: value})):
                collected.custom_origins[path] = file.origin(path)
            _warn_of_misspelt_section(collected, file.origin(key), key)
        else:
            collected.warnings.append(_unknown(file.origin(key), "key", key, [*KEYS, *TABLES]))


def _add_numbers(collected: Collected, file: ConfigFile, key: str, value: object) -> None:
    if not isinstance(value, dict):
        collected.problems.append(_not_a_value(file.origin(key), key))
        return
    for name, number in value.items():
        _add_value(collected, f"{key}.{name}", Raw(number, file.origin(f"{key}.{name}")))


def _add_value(collected: Collected, key: str, raw: Raw) -> None:
    """An empty text leaves a setting unset; for a list it is the empty list."""
    if raw.value != "" or (key in KEYS and isinstance(KEYS[key].kind, Texts)):
        collected.values[key] = raw


def _add_environment(collected: Collected, environ: Mapping[str, str]) -> None:
    file_customs = {variable_of(".".join(path)): path for path in _custom_paths(collected.custom)}
    for variable in sorted(name for name in environ if name.startswith(_PREFIX)):
        text = environ[variable]
        raw = Raw(text, Origin("environment", one_line(variable)))
        if variable in _VARIABLES and variable not in _TABLE_VARIABLES:
            _add_value(collected, _VARIABLES[variable], raw)
        elif variable in _NOT_SETTINGS or variable.startswith(_CLIENT_PREFIX) or not text:
            continue
        elif variable in _TABLE_VARIABLES:
            collected.problems.append(_not_a_value(raw.origin, _TABLE_VARIABLES[variable]))
        elif entry := _number_entry(variable):
            _add_value(collected, entry, raw)
        elif variable in file_customs:
            _set_custom(collected, file_customs[variable], raw)
        else:
            _add_unmatched(collected, variable, raw)


def _number_entry(variable: str) -> str:
    """The key of an entry in a table of numbers: `worker.queues.video` of TORK_WORKER_QUEUES_VIDEO."""
    for table in NUMBER_TABLES:
        start = f"{variable_of(table)}_"
        if variable.startswith(start) and variable != start:
            return f"{table}.{variable.removeprefix(start).lower()}"
    return ""


def _add_unmatched(collected: Collected, variable: str, raw: Raw) -> None:
    """A variable that no known key explains: a custom section's, or unknown."""
    segments = variable.removeprefix(_PREFIX).lower().split("_")
    section = ".".join(segments[:2])
    if 2 < len(segments) <= MAX_DEPTH and all(segments) and _is_custom(collected, section):
        _set_custom(collected, (section, *segments[2:]), raw)
        _warn_of_misspelt_section(collected, raw.origin, section)
    else:
        collected.warnings.append(_unknown(raw.origin, "variable", variable, list(_VARIABLES)))


def _is_custom(collected: Collected, section: str) -> bool:
    root, dot, name = section.partition(".")
    if not dot or not name or section in KEYS or section in TABLES:
        return False
    return section in collected.known_sections or (root in _CUSTOM_ROOTS and "." not in name)


def _set_custom(collected: Collected, path: tuple[str, ...], raw: Raw) -> None:
    section, *parents, name = path
    table: dict[str, Any] = collected.custom.setdefault(section, {})
    for parent in parents:
        inner = table.setdefault(parent, {})
        if not isinstance(inner, dict):
            inner = table[parent] = {}
        table = inner
    table[name] = raw.value
    collected.custom_origins[".".join(path)] = raw.origin


def _custom_paths(custom: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The path of every value in custom sections; a section counts as one segment."""
    for name, value in custom.items():
        if isinstance(value, dict):
            yield from ((name, *rest) for rest in _custom_paths(value))
        else:
            yield (name,)


def _warn_of_misspelt_section(collected: Collected, origin: Origin, section: str) -> None:
    """A section nobody registered that looks like one of ours is a slip of the pen: say so, but keep it."""
    root = section.partition(".")[0]
    ours = [table for table in TABLES if table.startswith(f"{root}.") and table.count(".") == 1]
    if section not in collected.known_sections and (near := _nearest(section, ours, cutoff=0.9)):
        warning = (
            f"{origin}: unknown section '{one_line(section)}' is kept for a custom component; did you mean '{near}'?"
        )
        if warning not in collected.warnings:
            collected.warnings.append(warning)


def _not_a_value(origin: Origin, table: str) -> str:
    keys = [name for name in KEYS if name.startswith(f"{table}.")]
    if origin.kind == "environment":
        right = variable_of(keys[0]) if keys else f"{variable_of(table)}_<NAME>"
    else:
        right = keys[0] if keys else f"{table}.<name>"
    return (
        f"{origin}: {table} is a table and takes no value of its own (right would be one of its keys, such as {right})"
    )


def _unknown(origin: Origin, noun: str, name: str, known: list[str]) -> str:
    near = _nearest(name, known, cutoff=0.6)
    hint = f"; the nearest known {noun} is '{near}'" if near else ""
    if origin.kind == "environment":
        return f"unknown environment variable {one_line(name)} is ignored{hint}"
    return f"{origin}: unknown {noun} '{one_line(name)}' is ignored{hint}"


def _nearest(name: str, known: list[str], *, cutoff: float) -> str:
    import difflib  # only a mistake needs it

    matches = difflib.get_close_matches(name[:200], known, n=1, cutoff=cutoff)
    return matches[0] if matches else ""
