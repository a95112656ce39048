from __future__ import annotations

import base64
import json
import urllib.parse
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.planted import VALUES, forms_of
from torkd.hooks.secret_texts import REDACTED, SecretTexts, secret_texts

FEW_LETTERS = st.text("ab", min_size=1, max_size=6)


@given(wanted=st.lists(FEW_LETTERS, min_size=1, max_size=4), text=st.text("abc", max_size=40))
def test_every_place_of_every_text_is_covered_and_nothing_else(wanted: list[str], text: str) -> None:
    places = {
        place
        for one in wanted
        for start in range(len(text))
        if text.startswith(one, start)
        for place in range(start, start + len(one))
    }
    spans = SecretTexts(wanted).spans(text)
    assert {place for start, end in spans for place in range(start, end)} == places
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


@given(wanted=st.lists(FEW_LETTERS, min_size=1, max_size=4), text=st.text("abc", max_size=20))
def test_the_beginning_that_a_text_ends_with_is_the_longest(wanted: list[str], text: str) -> None:
    beginnings = [one[:length] for one in wanted for length in range(len(one))]
    assert SecretTexts(wanted).beginning(text) == max(len(one) for one in beginnings if text.endswith(one))


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_secret_is_hidden_in_all_its_forms(value: str) -> None:
    for form in forms_of(value):
        shown = secret_texts([value]).hide(f"<{form}>")
        assert REDACTED in shown
        assert not any(other in shown for other in forms_of(value))


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_a_secret_is_hidden_inside_of_base64(before: str) -> None:
    encoded = base64.b64encode(f"{before}hunter2-hunter3".encode()).decode()
    shown = secret_texts(["hunter2-hunter3"]).hide(f"Authorization: Basic {encoded}")
    assert REDACTED in shown
    rest = shown.partition(REDACTED)[2]
    assert len(rest.rstrip("=")) <= 1


def test_a_secret_in_json_in_a_url_is_found_by_neither_rule() -> None:
    """What is encoded twice is not covered; the page about secrets says so."""
    twice = urllib.parse.quote(json.dumps('pass"word'))
    assert secret_texts(['pass"word']).hide(twice) == twice


def test_overlapping_secrets_are_hidden_with_one_mark() -> None:
    assert secret_texts(["left-mid", "mid-right"]).hide("<left-mid-right>") == f"<{REDACTED}>"


def test_neighbours_keep_a_mark_each() -> None:
    assert secret_texts(["abcd", "efgh"]).hide("abcdefghabcdabcd") == REDACTED * 4


@pytest.mark.parametrize("value", ["", "  ", "abc", "REDACTED", "[REDACTED]"])
def test_what_is_short_or_our_own_mark_is_not_looked_for(value: str) -> None:
    assert not secret_texts([value])


def test_a_secret_that_holds_the_mark_is_hidden() -> None:
    assert secret_texts(["a[REDACTED]b"]).hide("xa[REDACTED]by") == f"x{REDACTED}y"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("a" * 200_000, "a" * 400_000),
        ("a" * 200_000 + "b", "a" * 400_000),
        ("b" + "a" * 200_000, ("b" + "a" * 199_999) * 2),
        ("ab" * 100_000, "ab" * 200_000),
        (("a" * 1000 + "b") * 200, ("a" * 1000 + "b") * 399 + "a" * 999),
    ],
    ids=["one letter", "never whole", "nearly", "two letters", "blocks"],
)
def test_no_secret_makes_looking_slow(secret: str, text: str) -> None:
    """In the square of the length each of these would take minutes."""
    wanted = SecretTexts([secret])
    wanted.spans(text)
    wanted.beginning(text)
