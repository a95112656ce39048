"""The operators: how tightly each binds, and the syntax node it makes."""

from __future__ import annotations

import ast

from tork.expression import tree

PIPE, OR, AND, COMPARISON, RANGE, SUM, NOT, PRODUCT, SIGN, POWER, COALESCE = (
    0, 10, 15, 20, 25, 30, 50, 60, 90, 100, 500,
)  # fmt: skip
BINARY: dict[str, int] = {
    "|": PIPE, "or": OR, "||": OR, "and": AND, "&&": AND,
    "==": COMPARISON, "!=": COMPARISON, "<": COMPARISON, "<=": COMPARISON, ">": COMPARISON, ">=": COMPARISON,
    "in": COMPARISON, "matches": COMPARISON, "contains": COMPARISON,
    "startsWith": COMPARISON, "endsWith": COMPARISON,
    "..": RANGE, "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "%": PRODUCT,
    "**": POWER, "^": POWER, "??": COALESCE,
}  # fmt: skip
UNARY: dict[str, tuple[int, type[ast.unaryop]]] = {
    "not": (NOT, ast.Not),
    "!": (NOT, ast.Not),
    "-": (SIGN, ast.USub),
    "+": (SIGN, ast.UAdd),
}
ARITHMETIC: dict[str, type[ast.operator]] = {
    "..": tree.Range, "+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "%": ast.Mod,
    "**": ast.Pow, "^": ast.Pow,
}  # fmt: skip
CHAINED: dict[str, type[ast.cmpop]] = {"<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE}
COMPARED: dict[str, type[ast.cmpop]] = CHAINED | {
    "==": ast.Eq, "!=": ast.NotEq, "in": ast.In, "matches": tree.Matches, "contains": tree.Contains,
    "startsWith": tree.StartsWith, "endsWith": tree.EndsWith,
}  # fmt: skip
NEGATABLE = frozenset({"in", "matches", "contains", "startsWith", "endsWith"})
LITERALS: dict[str, bool | None] = {"true": True, "false": False, "nil": None}
