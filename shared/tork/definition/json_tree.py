"""JSON text as a tree of nodes with places. Nothing recurses, and every limit holds while it is read.

The server reads good JSON without this (`read.py`): it finds the place of a mistake and reads what is unusual.
Only the first value is read, as the REST API always did. Numbers keep their text, so none is too large here.
"""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined] # in every CPython; the stubs leave it out

from tork.definition.problems import Unreadable
from tork.definition.tree import DEPTH_MESSAGE, MAX_DEPTH, Budget, Kind, Mapping, Node, Scalar, Sequence

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_]+")
_WORDS = {"true": Kind.BOOLEAN, "false": Kind.BOOLEAN, "null": Kind.NULL}
_REASON = re.compile(r" (?:starting )?at$")
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(text: str) -> Node | None:
    """The first value, or None when there is none. Raises `Unreadable`."""
    return _Scanner(text).document()


class _Scanner:
    """Reads from left to right; `open` holds the lists and objects that have not ended yet."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1  # of the last place asked for; places are asked for from left to right
        self.line_start = 0
        self.placed = 0
        self.open: list[tuple[Sequence | Mapping, Scalar | None]] = []
        self.budget = Budget()

    def document(self) -> Node | None:
        self._skip_space()
        if self.at == len(self.text):
            return None
        key: Scalar | None = None
        while True:
            node = self._value()
            if isinstance(node, Scalar) or self._closes_at_once(node):
                finished: Node = node
            else:
                self._open(node, key)
                key = self._key() if isinstance(node, Mapping) else None
                continue
            while True:
                if not self.open:
                    return finished
                around, outer_key = self.open[-1]
                self._put(around, key, finished)
                if self._another(around):
                    key = self._key() if isinstance(around, Mapping) else None
                    break
                self.open.pop()
                finished, key = around, outer_key

    def _value(self) -> Node:
        self._skip_space()
        line, column = self._counted_place()
        first = self.text[self.at : self.at + 1]
        if first == "{":
            self.at += 1
            return Mapping(line, column)
        if first == "[":
            self.at += 1
            return Sequence(line, column)
        if first == '"':
            return Scalar(self._string(), Kind.TEXT, line, column)
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return Scalar(number[0], Kind.NUMBER, line, column)
        word = _WORD.match(self.text, self.at)
        if word and word[0] in _WORDS:
            self.at = word.end()
            return Scalar(word[0], _WORDS[word[0]], line, column)
        raise self._refusal("a value is missing here", "a text in double quotes, a number, true, false, null, [ or {")

    def _open(self, node: Sequence | Mapping, key: Scalar | None) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise Unreadable(DEPTH_MESSAGE, node.line, node.column, "depth")
        self.open.append((node, key))

    def _closes_at_once(self, node: Sequence | Mapping) -> bool:
        self._skip_space()
        closes = self.text.startswith("]" if isinstance(node, Sequence) else "}", self.at)
        self.at += closes
        return closes

    def _put(self, around: Sequence | Mapping, key: Scalar | None, node: Node) -> None:
        if isinstance(around, Sequence):
            around.items.append(node)
        elif key is not None:
            around.entries.append((key, node))

    def _another(self, around: Sequence | Mapping) -> bool:
        """Whether a comma says that more follows; the end of the collection is taken."""
        self._skip_space()
        end = "]" if isinstance(around, Sequence) else "}"
        found = self.text[self.at : self.at + 1]
        if found not in {",", end} or not found:
            raise self._refusal("the JSON does not go on here", f"a comma or {end}")
        self.at += 1
        return found == ","

    def _key(self) -> Scalar:
        self._skip_space()
        line, column = self._counted_place()
        if not self.text.startswith('"', self.at):
            raise self._refusal("a key is missing here", "a key in double quotes, and no comma before }")
        key = Scalar(self._string(), Kind.TEXT, line, column)
        self._skip_space()
        if not self.text.startswith(":", self.at):
            raise self._refusal("the value of the key is missing here", "a colon and the value")
        self.at += 1
        return key

    def _string(self) -> str:
        start = self.at
        try:
            value: str
            value, self.at = scanstring(self.text, start + 1, True)
        except JSONDecodeError as error:
            self.at = min(error.pos, len(self.text))
            raise self._refusal(
                f"this is not a JSON text: {_REASON.sub('', error.msg.lower())}", "a text in double quotes"
            ) from None
        if "\0" in value or _SURROGATE.search(value):
            self.at = start
            raise self._refusal("the text holds a NUL character or half of a surrogate pair", "without it")
        return value

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.at)
        assert space is not None
        self.at = space.end()

    def _counted_place(self) -> tuple[int, int]:
        line, column = self._place(self.at)
        if sentence := self.budget.spend(1):
            raise Unreadable(sentence, line, column, "size")
        return line, column

    def _place(self, offset: int) -> tuple[int, int]:
        breaks = self.text.count("\n", self.placed, offset)
        if breaks:
            self.line += breaks
            self.line_start = self.text.rfind("\n", self.placed, offset) + 1
        self.placed = offset
        return self.line, offset - self.line_start + 1

    def _refusal(self, what: str, right: str) -> Unreadable:
        return Unreadable(f"{what} (right would be {right})", *self._place(self.at))
