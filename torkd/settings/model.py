"""Every setting, as one value. Reading, checks, `torkd config` and the docs all come from these classes.

A section is a table of the configuration file, a field one key: `worker.drain` is `settings.worker.drain`. Where a
key has more dots than the attribute path its kind says so (`Duration(key="image.ttl")`). A `Settings` that
`load_settings` made is complete and checked: defaults that depend on the machine or on another setting are filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec

from torkd.settings.addresses import url_check
from torkd.settings.kinds import Kind, Secret, Text
from torkd.settings.sections.broker import Broker
from torkd.settings.sections.coordinator import Coordinator
from torkd.settings.sections.datastore import Datastore, Locker
from torkd.settings.sections.middleware import Middleware
from torkd.settings.sections.process import Cli, Client, Data, Logging
from torkd.settings.sections.runtime import Runtime
from torkd.settings.sections.section import Section
from torkd.settings.sections.worker import Mounts, Worker

AnySection = TypeVar("AnySection", bound=Section)


class Settings(Section, frozen=True, kw_only=True):
    """The configuration of one process."""

    cli: Cli = Cli()
    client: Client = Client()
    endpoint: Annotated[
        str | None,
        Text(
            means="older name of client.endpoint, which wins where both are set",
            secret=Secret.URL,
            check=url_check("http", "https"),
        ),
    ] = None
    logging: Logging = Logging()
    data: Data = Data()
    broker: Broker = Broker()
    datastore: Datastore = Datastore()
    locker: Locker = Locker()
    coordinator: Coordinator = Coordinator()
    middleware: Middleware = Middleware()
    worker: Worker = Worker()
    mounts: Mounts = Mounts()
    runtime: Runtime = Runtime()
    custom: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    # sections of registered components, as they were written: `custom["broker.kafka"]["url"]`


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: its full key, its kind, its default, and the attributes that lead to it."""

    name: str
    kind: Kind
    default: Any
    path: tuple[str, ...]

    def value(self, settings: Settings) -> Any:
        """What these settings have for the key."""
        found: Any = settings
        for attribute in self.path:
            found = getattr(found, attribute)
        return found


def build_settings(values: Mapping[str, Any], custom: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with these values, by key; a key that is missing has its default."""
    return msgspec.structs.replace(_build(Settings, "", values), custom=custom)


def _walk(section: type[Section], prefix: str, path: tuple[str, ...]) -> Iterator[Key]:
    for field, segment, part in _parts(section):
        here = (*path, field.name)
        if isinstance(part, Kind):
            yield Key(prefix + segment, part, _default(field), here)
        else:
            yield from _walk(part, f"{prefix}{segment}.", here)


def _build(section: type[AnySection], prefix: str, values: Mapping[str, Any]) -> AnySection:
    given: dict[str, Any] = {}
    for field, segment, part in _parts(section):
        key = prefix + segment
        if not isinstance(part, Kind):
            given[field.name] = _build(part, f"{key}.", values)
        elif key in values:
            given[field.name] = values[key]
    return section(**given)


def _parts(section: type[Section]) -> Iterator[tuple[msgspec.structs.FieldInfo, str, Kind | type[Section]]]:
    """The fields that are settings or sections, each with its part of the key."""
    hints = get_type_hints(section, include_extras=True)
    for field in msgspec.structs.fields(section):
        hint = hints[field.name]
        kinds = [note for note in get_args(hint) if isinstance(note, Kind)]
        if kinds:
            yield field, kinds[0].key or field.name, kinds[0]
        elif isinstance(hint, type) and issubclass(hint, Section):
            yield field, field.name, hint


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


KEYS: Mapping[str, Key] = MappingProxyType({key.name: key for key in _walk(Settings, "", ())})
# every setting, in the order of the classes
TABLES = frozenset(name.rsplit(".", dots)[0] for name in KEYS for dots in range(1, name.count(".") + 1))
# every table that holds settings or other tables
