"""Whatever the input: a value or an `ExpressionError`, and never a way into Python."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tork.errors import ExpressionError
from tork.expression import Date, Duration, Limits, check, evaluate, references, render
from tork.expression.dates import Named, Zone

PLAIN = (str, int, float, bool, list, dict, Date, Duration, Named, Zone, type(None))
CONTEXT: dict[str, Any] = {
    "inputs": {"a": "1", "b": "[1, {\"x\": 2}]"},
    "secrets": {},
    "tasks": {"t": "text"},
    "job": {"id": "j", "name": "n"},
    "xs": [3, 1.5, "a", None, True, [1], {"k": "v"}],
    "m": {"n": None, "d": {"e": 1}},
    "s": "héllo wörld",
    "odd": "\ud800",
    "huge": 2**80,
    "nan": float("nan"),
}  # fmt: skip
SMALL = Limits(steps=20_000, elements=20_000, text=20_000, total_text=200_000, result_values=50_000)


@pytest.mark.parametrize(
    "expression",
    [
        "xs.__class__", "s.__class__.__mro__", "xs.append(1)", "s.format(s)", "s.upper()", "m.items()", "m.get('n')",
        "1.0.real", "(1).real", "true.real", "nil.__class__", "__import__('os')", "eval('1')", "open('/etc/passwd')",
        "globals()", "getattr(s, '__class__')", "len.__globals__", "::len.__self__", "list(xs)", "dict(m)", "set(xs)",
        "tuple(xs)", "print(1)", "exec('1')", "lambda: 1", "[x for x in xs]", "f'{s}'", "$env.__class__",
        "$env.__builtins__", "now().__class__", "duration('1s').nanoseconds", "now().wall()", "date('2024-01-01').zone",
        "timezone('UTC').rules", "s['__class__']", "xs['__class__']", "(# | len())", "nope.__class__", "self", "names",
        "__builtins__", "_", "b\"x\"", "x = 1", "x := 1", "s % 1", "import os", "del xs", "xs[0] = 1", "len(__name__)",
    ],
)  # fmt: skip
def test_python_is_out_of_reach(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression, CONTEXT)


def test_python_names_are_plain_keys_of_maps() -> None:
    for name in ("__class__", "__init__", "_id", "items", "keys", "get", "pop", "format", "mro", "func_globals"):
        assert evaluate(f"m.{name}", {"m": {name: 1}}) == 1
        assert evaluate(f"m.{name}", {"m": {}}) is None


def survives(text: str) -> None:
    """Nothing but `ExpressionError` comes out of any entry point."""
    for action in (
        lambda: check(text, limits=SMALL),
        lambda: references(text),
        lambda: references(text, single=True),
        lambda: render(text, CONTEXT, limits=SMALL),
        lambda: render("{{ " + text + " }}", CONTEXT, limits=SMALL),
    ):
        try:
            action()
        except ExpressionError:
            pass
    value = outcome(text)
    if isinstance(value, ExpressionError):
        assert value.position is None or 0 <= value.position <= len(text)
    else:
        assert isinstance(value, PLAIN)


def outcome(text: str) -> object:
    try:
        return evaluate(text, CONTEXT, limits=SMALL)
    except ExpressionError as error:
        return error


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60))
def test_random_text_is_refused_or_evaluated(text: str) -> None:
    survives(text)


TOKENS = st.sampled_from(
    [
        "1", "0", "2.5", "1e308", "9223372036854775807", "'a'", '"b\\n"', "`r`", "true", "false", "nil", "xs", "m", "s",
        "inputs", "inputs.a", "$env", "odd", "huge", "nan", "nope", "#", "#acc", "#index", ".x", "?.x", "?.[", "(", ")",
        "[", "]", "{", "}", ",", ":", ";", "?", "?:", "??", "|", "..", "+", "-", "*", "/", "%", "**", "==", "!=", "<",
        ">=", "in", "not in", "not", "!", "and", "||", "matches", "contains", "startsWith", "let v =", "v", "if", "else",
        "map(xs,", "filter(", "reduce(", "sortBy(", "groupBy(", "len(", "get(", "string(", "toJSON(", "fromJSON(",
        "date(", "duration(", "split(", "repeat(", "max(", "int(", "::", "now()", "//", "/*", "*/", "\n", "'", "{{", "}}",
    ]
)  # fmt: skip


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TOKENS, max_size=14).map(" ".join))
def test_random_tokens_are_refused_or_evaluated(text: str) -> None:
    survives(text)


LEAVES = st.sampled_from(
    [
        "1", "-7", "2.5", "0", "1e308", "''", "'a b'", "'1h'", "'2024-03-10'", "'[1]'", "true", "false", "nil", "xs",
        "m", "s", "inputs", "inputs.a", "inputs.b", "tasks", "odd", "huge", "nan", "[]", "{}", "[3, 1, 2]", "now()",
        "duration('1h')", "date('2024-03-10')", "$env", "1..3", "'desc'", "timezone('UTC')",
    ]
)  # fmt: skip
OPERATORS = st.sampled_from(
    [
        "+", "-", "*", "/", "%", "**", "??", "==", "!=", "<", "<=", ">", ">=", "in", "..", "and", "or",
        "matches", "contains", "startsWith", "endsWith", "not in",
    ]
)  # fmt: skip
ONE = st.sampled_from(
    [
        "trim", "upper", "lower", "abs", "ceil", "floor", "round", "sum", "mean", "median", "max", "min",
        "flatten", "uniq", "reverse", "first", "last", "sort", "join", "keys", "values", "toPairs", "fromPairs",
        "int", "float", "string", "toJSON", "fromJSON", "toBase64", "fromBase64", "len", "type", "date",
        "duration", "timezone", "bitnot", "count", "randomInt",
    ]
)  # fmt: skip
TWO = st.sampled_from(
    [
        "split", "splitAfter", "repeat", "indexOf", "lastIndexOf", "hasPrefix", "trimPrefix", "trimSuffix",
        "concat", "take", "sort", "join", "get", "bitand", "bitshl", "bitushr", "sequence", "max", "min",
        "mean", "date", "trim",
    ]
)  # fmt: skip
LOOPS = st.sampled_from(
    [
        "all", "any", "none", "one", "filter", "map", "find", "findLast", "findIndex", "count", "groupBy",
        "sortBy", "sum", "reduce",
    ]
)  # fmt: skip
METHODS = st.sampled_from(
    [
        "Year()", "Month()", "Weekday()", "Unix()", "Format('Jan-_2-06')", "Hours()", "String()",
        "In(timezone('UTC'))",
    ]
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, OPERATORS, inner),
        st.builds("{}({})".format, ONE, inner),
        st.builds("{}({}, {})".format, TWO, inner, inner),
        st.builds("{}({}, {})".format, LOOPS, inner, inner),
        st.builds("{}({}, {{let v{} = #; {}}})".format, LOOPS, inner, st.integers(0, 99), inner),
        st.builds("({}).{}".format, inner, METHODS),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({})[{}:{}]".format, inner, inner, inner),
        st.builds("({})?.a.b".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{a: {}, ({}): {}}}".format, inner, inner, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_random_trees_are_refused_or_evaluated(text: str) -> None:
    survives(text)
