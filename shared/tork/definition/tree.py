"""A document as it was written: texts, lists and mappings with their places, before any type is known.

Both formats are read into these nodes, so that every later step is written once. Scalars keep their source text: what it
means is decided by the field it is for. A node may hang in several places (YAML aliases), so a tree is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from tork.definition.problems import Path

MAX_NODES = 100_000
"""More values than this, aliases counted as often as they are used, are refused: no document costs unbounded time."""

MAX_DEPTH = 200
"""Deeper nesting is refused; fifty composite tasks inside each other stay below it."""


class Kind(Enum):
    """How a scalar was written."""

    PLAIN = auto()  # YAML without quotes: a number, word or null if the field asks for one
    TEXT = auto()  # in quotes, or a block: always text
    NUMBER = auto()  # a number of JSON
    BOOLEAN = auto()  # true or false of JSON
    NULL = auto()  # null of JSON


@dataclass(slots=True)
class Scalar:
    """One value, as its source text."""

    text: str
    kind: Kind
    line: int
    column: int

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here: empty, `~` or `null`."""
        return self.kind is Kind.NULL or (self.kind is Kind.PLAIN and self.text in _NULLS)


_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class Sequence:
    """A list. `size` counts all nodes below and this one, `height` the levels."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 1

    _present: list[Node] | None = None

    def present(self) -> list[Node]:
        """The items without the nulls, which count as not there."""
        if self._present is None:
            self._present = [item for item in self.items if not (isinstance(item, Scalar) and item.is_null)]
        return self._present


@dataclass(slots=True)
class Mapping:
    """Keys and values in the order of the document, as often as they are written."""

    line: int
    column: int
    flow: bool = False
    entries: list[tuple[Node, Node]] = field(default_factory=list)
    merges: list[Node] = field(default_factory=list)  # the values of `<<`
    size: int = 1
    height: int = 1
    _by_key: dict[str, Node] | None = None

    def find(self, key: str, *, ignore_case: bool) -> Node | None:
        """The value that counts for the key: of two the first, where case is ignored the last. Always asked the same way."""
        if self._by_key is None:
            self._by_key = {}
            entries = [*self.entries, *merged(self)]
            for name, value in entries if ignore_case else reversed(entries):
                if isinstance(name, Scalar):
                    self._by_key[name.text.casefold() if ignore_case else name.text] = value
        return self._by_key.get(key.casefold() if ignore_case else key)


Node = Scalar | Sequence | Mapping


def merged(mapping: Mapping) -> list[tuple[Node, Node]]:
    """What `<<` brings in; of the mappings named there an earlier one wins. Wrong ones bring nothing."""
    entries: list[tuple[Node, Node]] = []
    for value in mapping.merges:
        for part in value.items if isinstance(value, Sequence) else [value]:
            if isinstance(part, Mapping):
                entries += part.entries
                entries += merged(part)
    return entries


def locate(root: Node, path: Path, *, ignore_case: bool = False) -> tuple[int, int]:
    """Line and column of the value at the path, or of the nearest thing around it that exists."""
    node = root
    for step in path:
        found = _child(node, step, ignore_case)
        if found is None:
            break
        node = found
    return node.line, node.column


def _child(node: Node, step: str | int, ignore_case: bool) -> Node | None:
    if isinstance(node, Sequence) and isinstance(step, int):
        items = node.present()
        return items[step] if step < len(items) else None
    if isinstance(node, Mapping) and isinstance(step, str):
        return node.find(step, ignore_case=ignore_case)
    return None


class Budget:
    """Counts the nodes of a document and stops it where it grows past the limits."""

    def __init__(self) -> None:
        self.nodes = 0

    def spend(self, nodes: int) -> str:
        """Take this many; the sentence about it when they were too many."""
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            return f"the document holds more than {MAX_NODES:,} values (right would be a smaller one)"
        return ""


DEPTH_MESSAGE = f"the document is nested deeper than {MAX_DEPTH} levels (right would be flatter)"
