"""The settings as people read them: what `torkd config` prints, and the table in `docs/configuration.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torkd.settings.collecting import NUMBER_TABLES
from torkd.settings.derived import DERIVED
from torkd.settings.kinds import Text
from torkd.settings.model import KEYS, Key
from torkd.settings.origins import Origin, bare_or_quoted, mask, mask_custom, one_line, toml
from torkd.settings.reading import Loaded

TABLE_MARKER = "<!-- Written by `python -m torkd.settings docs/configuration.md`. -->\n"
# stands in the docs before the table, which goes on to the end of the page
_TABLE_HEAD = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"


def render_config(loaded: Loaded) -> str:
    """What is in force: TOML, one line a key, each with where it came from; secrets are masked."""
    lines: list[str] = []
    for key in KEYS.values():
        value = key.value(loaded.settings)
        if value is None:
            words = key.kind.default_text
            lines.append(f"# {key.name} is not set{f': {words}' if words else ''}")
        elif key.name in NUMBER_TABLES:
            lines.extend(_line((*key.name.split("."), name), size, loaded.origins) for name, size in value.items())
        else:
            plain = mask(key.kind.write(value), key.kind.secret)
            lines.append(_line(tuple(key.name.split(".")), plain, loaded.origins))
    for section, table in loaded.settings.custom.items():
        lines.extend(_custom_lines(tuple(section.split(".", 1)), mask_custom(table), loaded.origins))
    return "".join(f"{line}\n" for line in lines)


def settings_table() -> str:
    """Every setting in Markdown: key, type, default and meaning."""
    return _TABLE_HEAD + "".join(f"{_row(key)}\n" for key in KEYS.values())


def _line(path: tuple[str, ...], value: Any, origins: Mapping[str, Origin]) -> str:
    name = ".".join(bare_or_quoted(segment) for segment in path)
    return f"{name} = {toml(value)}  # {one_line(str(_nearest_origin('.'.join(path), origins)))}"


def _nearest_origin(name: str, origins: Mapping[str, Origin]) -> Origin:
    while name not in origins and "." in name:
        name = name.rpartition(".")[0]
    return origins.get(name, Origin("default"))


def _custom_lines(path: tuple[str, ...], value: Any, origins: Mapping[str, Origin]) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for name, entry in value.items():
            yield from _custom_lines((*path, name), entry, origins)
    else:
        yield _line(path, value, origins)


def _row(key: Key) -> str:
    meaning = key.kind.means
    if isinstance(key.kind, Text) and key.kind.choices:
        meaning += f"; one of {', '.join(f'`{choice}`' for choice in key.kind.choices)}"
    return f"| `{key.name}` | {key.kind.name} | {_default(key)} | {meaning} |"


def _default(key: Key) -> str:
    if key.name in DERIVED:
        return DERIVED[key.name].words
    if key.kind.default_text:
        return key.kind.default_text
    return "none" if key.default is None else f"`{toml(key.kind.write(key.default))}`"
