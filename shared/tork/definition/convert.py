"""From the tree of a document to the model classes: reads every field by its type and collects everything wrong.

The plan for a class is made once from the class itself, so a new field needs nothing here. Invariant: whatever is wrong,
a value of the right type comes out, so that the rules can look at the rest; what they must not look at is in `spoilt`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from tork.definition.problems import MAX_PROBLEMS, Path, Problem, shown
from tork.definition.scalars import looks_like, number, whole_number, yes_or_no
from tork.definition.suggestion import advice, meant
from tork.definition.tree import Kind, Mapping, Node, Scalar, Sequence, merged

Reader = Callable[["Conversion", Node, Path], Any]
"""Reads one field's value; the field keeps its default where there is a null."""

_QUOTE = "quotes around a text that starts with { or ["


class Conversion:
    """One document on its way to a value. `problems` is what is wrong, `spoilt` where no rule need look any more."""

    def __init__(self, *, ignore_case: bool) -> None:
        self.ignore_case = ignore_case
        """JSON: keys match in any case and the last of two wins. YAML: neither."""
        self.problems: list[Problem] = []
        self.spoilt: set[Path] = set()

    def wrong(self, node: Node, path: Path, message: str, rule: str = "type") -> None:
        """Note a value that can't be used."""
        self.problems.append(Problem(path, message, rule, node.line, node.column))
        self.spoilt.add(path)

    def read(self, node: Node, cls: type[msgspec.Struct], path: Path = ()) -> Any:
        """The mapping as a value of the class."""
        if not isinstance(node, Mapping):
            self.wrong(node, path, f"is {_what(node)} (right would be keys and values)")
            return cls()
        plan = _plan(cls)
        values: dict[str, Any] = {}
        for key, value in self._entries(node, path):
            field = plan.get(key.text) or (_any_case(plan, key.text) if self.ignore_case else None)
            if field is None:
                self._unknown(key, plan, path)
            elif not (isinstance(value, Scalar) and value.is_null):
                attribute, name, reader = field
                values[attribute] = reader(self, value, (*path, name))
        return cls(**values)

    def pairs(self, node: Node, path: Path) -> dict[str, str]:
        """The mapping as texts by name."""
        if not isinstance(node, Mapping):
            self.wrong(node, path, f"is {_what(node)} (right would be names and values)")
            return {}
        return {key.text: self.text(value, (*path, key.text)) for key, value in self._entries(node, path)}

    def text(self, node: Node, path: Path) -> str:
        """The scalar as it was written."""
        if isinstance(node, Scalar):
            if node.kind in {Kind.NUMBER, Kind.BOOLEAN}:
                self.wrong(node, path, f"is {looks_like(node)} (right would be a text in quotes)")
            return "" if node.is_null else node.text
        right = _QUOTE if isinstance(node, Mapping) and node.flow else "a text"
        self.wrong(node, path, f"is {_what(node)} (right would be {right})")
        return ""

    def _entries(self, mapping: Mapping, path: Path) -> list[tuple[Scalar, Node]]:
        """Each key once: its own before those brought in by `<<`."""
        first: dict[str, Scalar] = {}
        entries: dict[str, tuple[Scalar, Node]] = {}
        for key, value in mapping.entries:
            if not isinstance(key, Scalar):
                self.wrong(key, path, f"has {_what(key)} as a key (right would be a name, or {_QUOTE})", "key")
            elif key.text not in first or self.ignore_case:
                first[key.text] = key
                entries[key.text] = (key, value)
            else:
                before = first[key.text]
                message = f"the key {shown(key.text)} is already set at {before.line}:{before.column}"
                self._note(key, path, f"{message} (right would be once)", "duplicate")
        self._check_merges(mapping, path)
        for key, value in merged(mapping):
            if isinstance(key, Scalar):
                entries.setdefault(key.text, (key, value))
        return list(entries.values())

    def _check_merges(self, mapping: Mapping, path: Path) -> None:
        for value in mapping.merges:
            for part in value.items if isinstance(value, Sequence) else [value]:
                if not isinstance(part, Mapping):
                    self._note(part, path, f"'<<' names {_what(part)} (right would be an alias of a mapping)", "merge")

    def _unknown(self, key: Scalar, plan: dict[str, Any], path: Path) -> None:
        message = f"unknown key {shown(key.text)}"
        if len(self.problems) < MAX_PROBLEMS:  # a document full of them must not cost a search each
            message += advice(key.text, plan)
            if suggestion := meant(key.text, plan):
                self.spoilt.add((*path, suggestion))
        self._note(key, path, message, "unknown")

    def _note(self, node: Node, path: Path, message: str, rule: str) -> None:
        self.problems.append(Problem(path, message, rule, node.line, node.column))


@cache
def _plan(cls: type[msgspec.Struct]) -> dict[str, tuple[str, str, Reader]]:
    """The fields by the name they have in files: attribute, that name, and how the value is read."""
    fields = msgspec.structs.fields(cls)
    return {field.encode_name: (field.name, field.encode_name, _reader(field.type)) for field in fields}


def known_keys(cls: type[msgspec.Struct]) -> list[str]:
    """The keys of a class as files write them, in the order of the class."""
    return list(_plan(cls))


def _any_case(plan: dict[str, tuple[str, str, Reader]], key: str) -> tuple[str, str, Reader] | None:
    wanted = key.casefold()
    return next((field for name, field in plan.items() if name.casefold() == wanted), None)


def _reader(hint: Any) -> Reader:
    """How a value of the type is read."""
    if get_origin(hint) is Annotated:
        return _reader(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        return _reader(next(part for part in get_args(hint) if part is not type(None)))
    if get_origin(hint) is list:
        return _list_reader(get_args(hint)[0])
    if get_origin(hint) is dict:
        return Conversion.pairs
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return lambda conversion, node, path: conversion.read(node, hint, path)
    return _SCALARS[hint]


def _list_reader(hint: Any) -> Reader:
    read = _reader(hint)

    def read_list(conversion: Conversion, node: Node, path: Path) -> list[Any]:
        if not isinstance(node, Sequence):
            conversion.wrong(node, path, f"is {_what(node)} (right would be a list)")
            return []
        return [read(conversion, item, (*path, index)) for index, item in enumerate(node.present())]

    return read_list


def _read_whole(conversion: Conversion, node: Node, path: Path) -> int:
    value = whole_number(node) if isinstance(node, Scalar) else None
    if value is None:
        conversion.wrong(node, path, f"is {_seen(node)} (right would be a whole number{_without_quotes(node)})")
    return value or 0


def _read_number(conversion: Conversion, node: Node, path: Path) -> float:
    value = number(node) if isinstance(node, Scalar) else None
    if value is None:
        conversion.wrong(node, path, f"is {_seen(node)} (right would be a number{_without_quotes(node)})")
    return value or 0


def _read_yes_or_no(conversion: Conversion, node: Node, path: Path) -> bool:
    value = yes_or_no(node) if isinstance(node, Scalar) else None
    if value is None:
        conversion.wrong(node, path, f"is {_seen(node)} (right would be true or false{_without_quotes(node)})")
    return bool(value)


_SCALARS: dict[Any, Reader] = {
    str: Conversion.text,
    int: _read_whole,
    float: _read_number,
    bool: _read_yes_or_no,
}


def _what(node: Node) -> str:
    if isinstance(node, Scalar):
        return "empty" if node.is_null else looks_like(node)
    return "a list" if isinstance(node, Sequence) else "a mapping"


def _seen(node: Node) -> str:
    return shown(node.text) if isinstance(node, Scalar) else _what(node)


def _without_quotes(node: Node) -> str:
    return " without quotes" if isinstance(node, Scalar) and node.kind is Kind.TEXT else ""
