from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torkd.runtime.containers.alias import slug

SLUGS = {
    "postgres": "postgres",
    "My Server": "my-server",
    "api.v1": "api-v1",
    "my_server": "my_server",
    "a - b -- c": "a-b-c",
    "  (cached) redis!  ": "cached-redis",
    "-_x_-": "x",
    "Café Zürich": "cafe-zurich",
    "Straße Łódź Ærø Þór œuvre": "strasse-lodz-aero-thor-oeuvre",
    "İstanbul \N{LATIN SMALL LETTER DOTLESS I}ş\N{LATIN SMALL LETTER DOTLESS I}k": "istanbul-isik",
    "Ｆｕｌｌ①": "full1",
    "e\N{COMBINING ACUTE ACCENT}tude": "etude",
    "db база": "db",
    "База": "task",
    "": "task",
    "---": "task",
}


@pytest.mark.parametrize(("name", "expected"), SLUGS.items(), ids=[*list(SLUGS)[:-2], "empty", "dashes"])
def test_a_name_becomes_one_that_dns_takes(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_a_name_longer_than_a_label_of_dns_is_cut_and_ends_well() -> None:
    assert slug("a" * 62 + " " + "b" * 62) == "a" * 62


@given(st.text())
def test_any_name_gives_a_label(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?", slug(name))


@given(st.text())
def test_an_alias_is_its_own_alias(name: str) -> None:
    assert slug(slug(name)) == slug(name)
