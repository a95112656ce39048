"""Which context values a text may read, told without evaluating it.

The answer may name too much and never too little: whatever is not a constant key applied directly to a name counts as
a need for all of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tork.errors import ExpressionError
from tork.expression import tree
from tork.expression.evaluate import STRING_MAPS
from tork.expression.template import expressions
from tork.expression.tree import Expression

Reference = tuple[str, str | None]

_EVERYTHING: frozenset[Reference] = frozenset((name, None) for name in STRING_MAPS)


def references(template_or_expression_text: str, *, single: bool = False) -> frozenset[Reference]:
    """Pairs (name, key) of what evaluation may read; the key is None where all of the named value may be needed.

    `inputs`, `secrets`, `tasks` and `job` are named, and any other context value too (`item`). All groups of a template
    count, or with `single` what `evaluate` takes from the text. A text that uses `$env` or can't be parsed may read
    all four, whatever else it names.
    """
    if not single and "{{" not in template_or_expression_text:
        return frozenset()
    try:
        parsed = expressions(template_or_expression_text, single=single)
    except ExpressionError:
        return _EVERYTHING
    return frozenset(reference for expression in parsed for reference in _read_by(expression))


def _read_by(expression: Expression) -> Iterator[Reference]:
    pending: list[ast.AST] = [expression.root]
    while pending:
        node = pending.pop()
        direct = _direct(node)
        if direct is not None:
            yield direct
        elif isinstance(node, ast.Name):
            yield node.id, None
        elif isinstance(node, tree.Environment):
            yield from _EVERYTHING
        elif isinstance(node, ast.Call):
            pending.extend(node.args)
        else:
            pending.extend(tree.children(node))


def _direct(node: ast.AST) -> Reference | None:
    """The reference of a node that applies a constant key to a name, and does nothing else."""
    match node:
        case tree.Member(value=ast.Name(id=name), key=str(key)):
            return name, key
        case tree.OptionalIndex(value=ast.Name(id=name), key=ast.Constant(value=str(key))):
            return name, key
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))):
            return name, key
        case ast.Compare(left=ast.Constant(value=str(key)), ops=[ast.In()], comparators=[ast.Name(id=name)]):
            return name, key
        case ast.Call(func=ast.Name(id="get"), args=[ast.Name(id=name), ast.Constant(value=str(key))]):
            return name, key
    return None
