"""Details of the language that its test data leaves out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tork.errors import ExpressionError
from tork.expression import evaluate

CONTEXT: dict[str, Any] = {"xs": [1, 2, 3], "m": {"a": {"b": 1}, "n": None}, "b": True}


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("2 ** -1", 0.5),
        ("1 + 2 == 3 and 4 > 3", True),
        ("1 < 2 == true", True),
        ("1 < 2 <= 2 < 3", True),
        ("a not contains b", True),
        ("b ?: 'no'", True),
        ("!b ?: 'no'", "no"),
        ("1; 2; 3;", 3),
        ("let x = 1; x; x + 1", 2),
        ("if false {1} else if false {2} else {3; 4}", 4),
        ("[if true {1} else {2}, 3]", [1, 3]),
        ("if true {1} else {2}; 5", 5),
        ("0XFF + 0B11 + 0O17", 273),
        ("[5., 5.e1]", [5.0, 50.0]),
        ("1..3", [1, 2, 3]),
        ("3..1", []),
        ("1.0..2.0", [1, 2]),
        ("'\\u{1F600}\\x41\\U0001F600'", "😀A😀"),
        ("`a``b\nc`", "a`b\nc"),
        ("{true: 1, 0x10: 2}", {"true": 1, "0x10": 2}),
        ("m.a?.b", 1),
        ("m.n?.a['z']?.b ?? 1", ExpressionError),
        ("m.n?.a?.['z'].q", None),
        ("(m.n?.a).b", ExpressionError),
        ("xs[1.0]", 2),
        ("xs[1.5]", ExpressionError),
        ("xs[true]", ExpressionError),
        ("xs[2:1]", []),
        ("xs[-9:9]", [1, 2, 3]),
        ("'héllo'[1:2]", "é"),
        ("'abc'[0]", ExpressionError),
        ("1 == true", False),
        ("m.n == false", False),
        ("nil in [1, nil]", True),
        ("[1] in [[1.0]]", True),
        ("1 in true", ExpressionError),
        ("1 and true", ExpressionError),
        ("true and 1", ExpressionError),
        ("false and 1", False),
        ("not xs in [1]", ExpressionError),
        ("1 not + 2", ExpressionError),
        ("'x' | upper", ExpressionError),
        ("'a,b' | split(',')[0]", ExpressionError),
        ("if true {1} else {2} + 3", ExpressionError),
        ("true.x", ExpressionError),
        ("5.x", ExpressionError),
        ("1x", ExpressionError),
        ("0b12", ExpressionError),
        ("'\\\"'", ExpressionError),
        ("'\\400'", ExpressionError),
        ("'\\ud800'", ExpressionError),
        ("[,]", ExpressionError),
        ("{in: 1}", ExpressionError),
        ("{(1): 1}", ExpressionError),
        ("filter(xs, #index > 0)", ExpressionError),
        ("map(xs, #acc)", ExpressionError),
        ("reduce(xs, #acc + #index)", 4),
        ("reduce([], #acc)", ExpressionError),
        ("sum(xs,)", 6),
        ("count(xs)", ExpressionError),
        ("count(xs, # > 1,)", 2),
        ("map(xs, {let o = #; filter(xs, # > o) | len()})", [2, 1, 0]),
        ("map([[1], [2]], map(#, # * 2))", [[2], [4]]),
        ("5 in 1..10 and 1 == 1", True),
        ("m.a ?? 'x' + 'y'", ExpressionError),
        ("m.a ?? 1 ? 1 : 2", ExpressionError),
        ("m.q ?? b ? 1 : 2", 1),
        ("m.q ?? 'x' | upper()", "X"),
        ("7 // 2", 7),
        ("7 /* unclosed", ExpressionError),
        ("-7 % -3", -1),
        ("7 % 2.0", ExpressionError),
        ("round(0.49999999999999994)", 0.0),
        ("round(-0.5)", -1.0),
        ("max(1, [2.5, [3]])", 3),
        ("max([])", None),
        ("mean([])", 0.0),
        ("median(1, 2)", 1.5),
        ("split('a,b,c', ',', 0)", []),
        ("split('abc', '', 2)", ["a", "bc"]),
        ("splitAfter('a,b,c', ',', 2)", ["a,", "b,c"]),
        ("replace('abc', '', '-')", "-a-b-c-"),
        ("groupBy([1, 2, 3], # % 2)[1]", [1, 3]),
        ("groupBy([1, true], #)", ExpressionError),
        ("groupBy([true, false, true], #)[true]", [True, True]),
        ("get(groupBy([1], #), 2)", None),
        ("groupBy([1], #)[2]", None),
        ("true in groupBy([1], #)", False),
        ("1.0 in groupBy([1], #)", True),
        ("get({a: 1}, 1)", ExpressionError),
        ("fromPairs([['a']])", ExpressionError),
        ("int('+7')", 7),
        ("int('1_000')", ExpressionError),
        ("int('٣')", ExpressionError),
        ("float(' 1')", ExpressionError),
        ("float('inf')", ExpressionError),
        ("fromJSON('NaN')", ExpressionError),
        ("fromJSON('1 2')", ExpressionError),
        ("fromJSON('\"\\\\ud800\"')", "\ufffd"),
        ("toJSON([2.0, 1e6, 1e-7, 1e21, -0.5])", "[\n  2,\n  1000000,\n  1e-7,\n  1e+21,\n  -0.5\n]"),
        ("toJSON(1 / 0)", ExpressionError),
        ("toJSON([[], {}])", "[\n  [],\n  {}\n]"),
        ("'é' matches '^\\\\w$'", False),
        ("'a\\nb' matches '(?m)^b$'", True),
        ("'a\\nb' matches 'a.b'", False),
        ("'aa' matches '(a)\\\\1'", ExpressionError),
        ("'aa' matches 'a(?=a)'", ExpressionError),
        ("'aa' matches 'a++'", ExpressionError),
        ("nil matches 'a'", False),
        ("bitushr(-1, 1)", 2**63 - 1),
        ("randomInt(0)", ExpressionError),
        ("randomInt(1, 2)", ExpressionError),
        ("take(xs, -1)", ExpressionError),
        ("take(xs, 1.0)", ExpressionError),
        ("sort(xs, 'down')", ExpressionError),
        ("sort([1, 2.5, 0], 'desc')", [2.5, 1, 0]),
        ("sort([true, false])", ExpressionError),
        ("keys(nil)", ExpressionError),
        ("filter(m, true)", ExpressionError),
        ("filter(nil, true)", ExpressionError),
    ],
)
def test_expression_means(expression: str, want: object) -> None:
    context = CONTEXT | {"a": "abc", "b": True} if "contains b" not in expression else {"a": "abc", "b": "z"}
    if want is ExpressionError:
        with pytest.raises(ExpressionError):
            evaluate(expression, context)
    else:
        got = evaluate(expression, context)
        assert (got, type(got)) == (want, type(want))


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("date('2024-02-29').AddDate(1, 0, 0).Format('2006-01-02')", "2025-03-01"),
        ("date('2024-01-31').AddDate(0, 1, 0).Format('2006-01-02')", "2024-03-02"),
        ("date('15:04:05').Hour()", 15),
        (
            "date('2024-03-10T11:22:33.25+02:00').Format('Mon Jan _2 03:04:05.000 PM -0700')",
            "Sun Mar 10 11:22:33.250 AM +0200",
        ),
        ("date('02 Jan 06 15:04 UTC').Year()", 2006),
        ("date('Monday, 02-Jan-06 15:04:05 UTC').Unix()", 1136214245),
        ("date('Mon, 02 Jan 2006 15:04:05 UTC').UnixMilli()", 1136214245000),
        ("date('3:04 pm', '3:04 pm').Hour()", 15),
        ("date('2024-07-01 10:00', '2006-01-02 15:04', 'Europe/Zurich').Unix()", 1719820800),
        ("date('2024-07-01').In(timezone('Europe/Zurich')).Format('15:04 MST')", "02:00 CEST"),
        ("date('2024-07-01T02:00:00+02:00') == date('2024-07-01')", True),
        ("int(date('2024-03-10').Month()) * 10 + int(date('2024-03-10').Weekday())", 30),
        ("date('2024-01-02').After(date('2024-01-01'))", True),
        ("date('0001-01-01').IsZero()", True),
        ("date('2024-13-01')", ExpressionError),
        ("date('2023-02-29')", ExpressionError),
        ("date('2024-01-01').Nope()", ExpressionError),
        ("date('2024-01-01').Year", ExpressionError),
        ("date('2024-01-01').Year(1)", ExpressionError),
        ("date('2024-01-01') + 1", ExpressionError),
        ("date('2024-01-01') < duration('1h')", ExpressionError),
        ("timezone('Mars/Base')", ExpressionError),
        ("(duration('1h') * 2 - duration('30m')).String()", "1h30m0s"),
        ("duration('1500us').Milliseconds()", 1),
        ("duration('5')", ExpressionError),
        ("type(now())", "time.Time"),
        ("type(duration('1s'))", "time.Duration"),
        ("toJSON(date('2024-03-10'))", '"2024-03-10T00:00:00Z"'),
    ],
)
def test_date_expression_means(expression: str, want: object) -> None:
    test_expression_means(expression, want)


def test_floats_follow_ieee() -> None:
    assert math.isnan(evaluate("(-8) ** 0.5", {}))
    assert evaluate("(-10) ** 309", {}) == -math.inf
    assert evaluate("0 ** -1", {}) == math.inf
    assert math.isnan(evaluate("0 / 0", {}))
    assert evaluate("let n = 0 / 0; n == n", {}) is False
