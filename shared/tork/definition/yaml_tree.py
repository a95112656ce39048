"""YAML text as a tree of nodes, from the parser's events: nothing recurses, and every limit holds while it is read.

Only the first document is read. Tags are taken only where they say how to read a plain value; keys that come twice are
left to the conversion, which knows the path.
"""

from __future__ import annotations

import io
import re
from typing import Any

import yaml

from tork.definition.problems import Unreadable, shown
from tork.definition.tree import DEPTH_MESSAGE, MAX_DEPTH, Budget, Kind, Mapping, Node, Scalar, Sequence

try:
    from yaml._yaml import CParser as _Parser
except ImportError:  # PyYAML was built without libyaml: the same events, ten times slower
    from yaml import SafeLoader as _Parser  # type: ignore[assignment] # only get_event is used, both have it

_MAX_DIRECTIVES = 20
"""More than anybody needs. The parser compares each directive with all before it: many would take hours."""

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({"!", f"{_TAG}str"})
_PLAIN_TAGS = frozenset(f"{_TAG}{name}" for name in ("int", "float", "bool", "null", "timestamp", "merge"))
_COLLECTION_TAGS = {Mapping: f"{_TAG}map", Sequence: f"{_TAG}seq"}


def read_yaml(text: str) -> Node | None:
    """The first document, or None when there is none. Raises `Unreadable`."""
    if text.count("\n%") > _MAX_DIRECTIVES and _directives(text) > _MAX_DIRECTIVES:
        raise Unreadable(f"there are more than {_MAX_DIRECTIVES} % directives (right would be none)", 1, 1, "size")
    try:
        return _Builder(text).document()
    except yaml.MarkedYAMLError as error:
        raise _refusal(error, text) from None
    except yaml.YAMLError as error:
        raise Unreadable(f"this is not YAML: {_one_line(str(error))}", 1, 1) from None


def _directives(text: str) -> int:
    """How many lines before the first document are directives, counted no further than it takes."""
    found = 0
    for line in io.StringIO(text):
        if line.startswith("%"):
            found += 1
        elif line.strip() and not line.lstrip().startswith("#"):
            break
        if found > _MAX_DIRECTIVES:
            break
    return found


class _Builder:
    """Puts the parser's events together; `open` holds the collections that have not ended yet."""

    def __init__(self, text: str) -> None:
        self.parser: Any = _Parser(text.encode())
        self.open: list[tuple[Sequence | Mapping, str | None, Node | None]] = []
        self.anchors: dict[str, Node | None] = {}  # None: still open
        self.budget = Budget()
        self.key: Node | None = None  # of the innermost mapping, while its value is awaited
        self.root: Node | None = None

    def document(self) -> Node | None:
        while True:
            event = self.parser.get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._add(self._scalar(event), event.anchor)
            elif kind is yaml.MappingStartEvent:
                line, column = _place(event)
                self._begin(Mapping(line, column, flow=bool(event.flow_style)), event)
            elif kind is yaml.SequenceStartEvent:
                self._begin(Sequence(*_place(event)), event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end()
            elif kind is yaml.AliasEvent:
                self._add(self._aliased(event), None)
            elif kind is yaml.DocumentEndEvent or kind is yaml.StreamEndEvent or event is None:
                return self.root

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        line, column = _place(event)
        tag = event.tag
        if tag is None:
            kind = Kind.PLAIN if event.implicit[0] else Kind.TEXT
        elif tag in _TEXT_TAGS:
            kind = Kind.TEXT
        elif tag in _PLAIN_TAGS:
            kind = Kind.PLAIN
        else:
            raise Unreadable(f"the tag {shown(tag)} has no meaning here (right would be no tag)", line, column, "tag")
        if "\0" in event.value:
            raise Unreadable("the text holds a NUL character (right would be without)", line, column, "encoding")
        return Scalar(event.value, kind, line, column)

    def _begin(self, node: Sequence | Mapping, event: Any) -> None:
        if event.tag not in (None, "!", _COLLECTION_TAGS[type(node)]):
            message = f"the tag {shown(event.tag)} has no meaning here (right would be no tag)"
            raise Unreadable(message, node.line, node.column, "tag")
        if len(self.open) >= MAX_DEPTH:
            raise Unreadable(DEPTH_MESSAGE, node.line, node.column, "depth")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.open.append((node, event.anchor, self.key))
        self.key = None

    def _end(self) -> None:
        node, anchor, self.key = self.open.pop()
        self._attach(node, anchor, spend=1)

    def _aliased(self, event: yaml.AliasEvent) -> Node:
        name = str(event.anchor)
        node = self.anchors.get(name)
        if node is not None:
            return node
        inside = "stands inside what it names" if name in self.anchors else "names nothing that was written before"
        raise Unreadable(f"the alias {shown('*' + name)} {inside}", *_place(event), "alias")

    def _add(self, node: Node, anchor: str | None) -> None:
        self._attach(node, anchor, spend=1 if isinstance(node, Scalar) else node.size)
        if not isinstance(node, Scalar) and len(self.open) + node.height > MAX_DEPTH:
            raise Unreadable(DEPTH_MESSAGE, node.line, node.column, "depth")

    def _attach(self, node: Node, anchor: str | None, *, spend: int) -> None:
        if sentence := self.budget.spend(spend):
            raise Unreadable(sentence, node.line, node.column, "size")
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
            return
        around = self.open[-1][0]
        if not isinstance(node, Scalar):
            around.size += node.size
            around.height = max(around.height, node.height + 1)
        else:
            around.size += 1
        if isinstance(around, Sequence):
            around.items.append(node)
        elif self.key is None:
            self.key = node
        else:
            self._entry(around, self.key, node)
            self.key = None

    def _entry(self, mapping: Mapping, key: Node, value: Node) -> None:
        if isinstance(key, Scalar) and key.text == "<<" and key.kind is Kind.PLAIN:
            mapping.merges.append(value)
        else:
            mapping.entries.append((key, value))


def _place(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1


def _refusal(error: yaml.MarkedYAMLError, text: str) -> Unreadable:
    """The parser's complaint as one sentence, with advice for the mistakes that people make."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    if "nesting depth" in (error.problem or ""):  # newer versions of libyaml have a limit of their own, far beyond ours
        return Unreadable(DEPTH_MESSAGE, line, column, "depth")
    what = ", ".join(part for part in (error.context, error.problem) if part)
    return Unreadable(f"this is not YAML: {_one_line(what)}{_advice(error, text, line)}", line, column)


def _advice(error: yaml.MarkedYAMLError, text: str, line: int) -> str:
    lines = text.split("\n", line)
    written = lines[line - 1] if line <= len(lines) else ""
    problem = error.problem or ""
    if re.search(r"(:|^\s*-)\s+\{\{", written):
        return " (right would be quotes around a value that starts with {{)"
    if "\\t" in problem or re.match(r" *\t", written):
        return " (right would be spaces: YAML is not indented with tabs)"
    if "mapping values are not allowed" in problem:
        return " (right would be quotes around a text that holds ': ', or less indentation)"
    if "simple key" in problem or "expected ':'" in problem:
        return " (right would be 'key: value')"
    return " (right would be keys and values, lists with '- ', and the same indentation for what belongs together)"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
