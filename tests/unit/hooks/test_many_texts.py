from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torkd.hooks import secret_texts as module
from torkd.hooks.many_texts import LONGEST, ManyTexts
from torkd.hooks.secret_texts import REDACTED, SecretTexts, secret_texts
from torkd.worker.masking import Masker

FEW_LETTERS = st.text("ab", min_size=1, max_size=18)


@given(wanted=st.sets(FEW_LETTERS, min_size=1, max_size=8), text=st.text("abc", max_size=60))
def test_at_every_place_the_longest_text_is_found(wanted: set[str], text: str) -> None:
    longest = {
        (start, start + max(len(one) for one in wanted if text.startswith(one, start)))
        for start in range(len(text))
        if any(text.startswith(one, start) for one in wanted)
    }
    assert set(ManyTexts(wanted).spans(text)) == longest


@given(wanted=st.sets(FEW_LETTERS, min_size=1, max_size=8), text=st.text("abc", max_size=40))
def test_the_beginning_that_a_text_ends_with_is_the_longest(wanted: set[str], text: str) -> None:
    beginnings = [one[:length] for one in wanted for length in range(len(one))]
    assert ManyTexts(wanted).beginning(text) == max(len(one) for one in beginnings if text.endswith(one))


@given(wanted=st.sets(FEW_LETTERS, min_size=1, max_size=8), long=FEW_LETTERS, text=st.text("abc", max_size=60))
def test_many_texts_are_hidden_as_few_are(wanted: set[str], long: str, text: str) -> None:
    others = {f"c{number:05d}" for number in range(module._FEW)} | {long * LONGEST}
    few, many = SecretTexts(wanted), SecretTexts(wanted | others)
    assert many._many
    assert not few._many
    assert few.spans(text) == many.spans(text)
    assert few.beginning(text) <= many.beginning(text)
    assert all((one in few) and (one in many) for one in wanted)


def secret_lines(count: int, *, begin: str = "") -> list[str]:
    dice = random.Random(1)
    return [f"{begin}{dice.getrandbits(64):016x}"[:12] for _ in range(count)]


def test_every_line_of_a_secret_of_very_many_is_hidden_however_the_text_is_cut() -> None:
    lines = secret_lines(2000)
    masker = Masker(["\n".join(lines)])
    text = "".join(f"<{line}>{number}" for number, line in enumerate(lines[:300]))
    shown, kept, hidden = "", "", 0
    for start in range(0, len(text), 7):
        more, kept, hidden = masker.release(kept + text[start : start + 7], hidden)
        shown += more
    shown += masker.mask(kept, hidden)
    assert shown == "".join(f"<{REDACTED}>{number}" for number in range(300))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (secret_lines(40_000), "abcdefgh ijkl 0123456789\n" * 40_000),
        (["a" * length for length in range(8, 256)], "a" * 200_000),
        (["a" * length + "b" for length in range(8, 256)], "a" * 200_000),
        (["a" * 200 + line for line in secret_lines(2000)], "a" * 200_000),
    ],
    ids=["very many", "each begins with the other", "nearly", "all begin alike"],
)
def test_no_number_of_lines_makes_looking_slow(lines: list[str], text: str) -> None:
    """The first takes far longer when its lines are looked for one by one; the others are the worst for all at once."""
    wanted = secret_texts(["\n".join(lines)])
    wanted.spans(text)
    wanted.beginning(text)


def test_what_is_kept_of_secrets_for_the_next_time_has_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_CHARACTERS", 10_000)
    kept = module._Kept()
    large, small = ("x" * 3000 + "y",), ("hunter2-hunter3",)
    assert kept.of(large) is kept.of(large), "the very last is kept, however large it is"
    assert kept.of(small) is kept.of(small)
    assert list(kept._by_values) == [small]
    for number in range(200):
        kept.of((f"another-{number:03d}",))
        kept.of(small)
    assert kept._character_count == sum(texts.character_count for texts in kept._by_values.values()) <= 10_000
    assert small in kept._by_values, "what is asked for again and again stays"
