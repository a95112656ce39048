"""Syntax nodes that Python's own `ast` has no class for.

They are for everything that must not evaluate its parts first (`let`, `??`, optional chains, predicates) and for
property access, which must never become a Python attribute. `col_offset` is the place in the expression's text;
`_fields` names the children only, so that `ast.iter_child_nodes` walks these like any other node.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass


class Matches(ast.cmpop):
    """`matches`"""


class Contains(ast.cmpop):
    """`contains`"""


class StartsWith(ast.cmpop):
    """`startsWith`"""


class EndsWith(ast.cmpop):
    """`endsWith`"""


class Range(ast.operator):
    """`..`"""


@dataclass(eq=False, repr=False)
class Variable(ast.expr):
    """A name that a `let` around it declared."""

    _fields = ()
    name: str
    col_offset: int


@dataclass(eq=False, repr=False)
class Pointer(ast.expr):
    """`#`, `#index` or `#acc`: `name` is `""`, `"index"` or `"acc"`."""

    _fields = ()
    name: str
    col_offset: int


@dataclass(eq=False, repr=False)
class Environment(ast.expr):
    """`$env`"""

    _fields = ()
    col_offset: int


@dataclass(eq=False, repr=False)
class Let(ast.expr):
    """`let name = value; body`"""

    _fields = ("value", "body")
    name: str
    value: ast.expr
    body: ast.expr
    col_offset: int


@dataclass(eq=False, repr=False)
class Sequence(ast.expr):
    """`a; b; c`"""

    _fields = ("items",)
    items: list[ast.expr]
    col_offset: int


@dataclass(eq=False, repr=False)
class Coalesce(ast.expr):
    """`a ?? b ?? c`"""

    _fields = ("values",)
    values: list[ast.expr]
    col_offset: int


@dataclass(eq=False, repr=False)
class Elvis(ast.expr):
    """`test ?: otherwise`"""

    _fields = ("test", "otherwise")
    test: ast.expr
    otherwise: ast.expr
    col_offset: int


@dataclass(eq=False, repr=False)
class Member(ast.expr):
    """`value.key` or `value?.key`"""

    _fields = ("value",)
    value: ast.expr
    key: str
    optional: bool
    col_offset: int


@dataclass(eq=False, repr=False)
class OptionalIndex(ast.expr):
    """`value?.[key]`"""

    _fields = ("value", "key")
    value: ast.expr
    key: ast.expr
    col_offset: int


@dataclass(eq=False, repr=False)
class Method(ast.expr):
    """`value.name(arguments)`"""

    _fields = ("value", "arguments")
    value: ast.expr
    name: str
    arguments: list[ast.expr]
    optional: bool
    col_offset: int


@dataclass(eq=False, repr=False)
class Chain(ast.expr):
    """The extent of an optional chain: a nil before a `?.` in it makes the whole of it nil."""

    _fields = ("body",)
    body: ast.expr
    col_offset: int


@dataclass(eq=False, repr=False)
class Predicate(ast.expr):
    """`name(collection, body, extra)`: the body is evaluated once for each element."""

    _fields = ("collection", "body", "extra")
    name: str
    collection: ast.expr
    body: ast.expr | None
    extra: ast.expr | None
    col_offset: int


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A parsed expression, never changed after parsing, so that threads can share it."""

    text: str
    root: ast.expr
    names: tuple[tuple[str, int], ...]
    # context names it reads, each with its place: all must exist
    reserved: tuple[tuple[str, int], ...]
    # names it declares or calls as builtins: none may be a context name
    unknown_functions: tuple[tuple[str, int], ...]


def children(node: ast.AST) -> Iterator[ast.AST]:
    """The expressions directly below a node."""
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.expr, ast.Slice)))


def measure(root: ast.expr) -> tuple[int, int]:
    """How many nodes a tree has and how many levels. Left sides of operators are on the level of the operator:
    they are evaluated in a loop, and `a + b + c + ...` nests nothing."""
    count = deepest = 0
    pending: list[tuple[ast.AST, int]] = [(root, 1)]
    while pending:
        node, level = pending.pop()
        count += 1
        deepest = max(deepest, level)
        for child in children(node):
            flat = isinstance(node, ast.BinOp) and child is node.left and isinstance(child, ast.BinOp)
            pending.append((child, level if flat else level + 1))
    return count, deepest
