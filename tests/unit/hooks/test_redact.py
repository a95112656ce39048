from __future__ import annotations

from typing import Any

import pytest

from torkd.hooks.redact import REDACTED, Redactor, redact_text

SECRETS = ["s3cret-value", "", "abc", "2026"]


def redacted(document: Any, *, patterns: tuple[str, ...] = (), secrets: list[str] | None = None) -> Any:
    return Redactor(patterns).redact(document, SECRETS if secrets is None else secrets)


@pytest.mark.parametrize("key", ["DB_PASSWORD", "my_secret", "AWS_ACCESS_KEY_ID", "Password"])
def test_a_key_that_sounds_secret_loses_its_value(key: str) -> None:
    assert redacted({"env": {key: "x", "USER": "x"}}) == {"env": {key: REDACTED, "USER": "x"}}


def test_configured_patterns_replace_the_built_in_ones() -> None:
    document = {"env": {"MY_TOKEN": "x", "DB_PASSWORD": "x", "my_token": "x"}}
    expected = {"env": {"MY_TOKEN": REDACTED, "DB_PASSWORD": "x", "my_token": "x"}}
    assert redacted(document, patterns=("*_TOKEN",)) == expected


@pytest.mark.parametrize("patterns", [(), ("*_TOKEN",)], ids=["built-in", "configured"])
def test_secrets_and_registry_passwords_are_hidden_whatever_the_patterns(patterns: tuple[str, ...]) -> None:
    document = {
        "secrets": {"a": "x", "b": ""},
        "tasks": [{"registry": {"username": "u", "password": "x"}, "subjob": {"secrets": {"c": "x"}}}],
    }
    assert redacted(document, patterns=patterns) == {
        "secrets": {"a": REDACTED, "b": ""},
        "tasks": [{"registry": {"username": "u", "password": REDACTED}, "subjob": {"secrets": {"c": REDACTED}}}],
    }


@pytest.mark.parametrize(
    "where",
    ["result", "error", "run", "description"],
)
def test_the_value_of_a_secret_is_hidden_in_every_text(where: str) -> None:
    assert redacted({where: "a s3cret-value b"}) == {where: f"a {REDACTED} b"}


def test_the_value_of_a_secret_is_hidden_at_every_depth() -> None:
    document = {
        "items": [
            {"cmd": ["echo", "s3cret-value"], "files": {"s3cret-value": "x"}},
            {"sidecars": [{"env": {"A": "s3cret-value"}}], "each": {"task": {"env": {"B": "xs3cret-value"}}}},
            {"webhooks": [{"headers": {"Authorization": "Bearer s3cret-value"}}]},
        ]
    }
    assert "s3cret-value" not in repr(redacted(document))


@pytest.mark.parametrize("secret", ["", " ", "abc"])
def test_short_secrets_are_not_looked_for_in_texts(secret: str) -> None:
    assert redacted({"result": "abc def"}, secrets=[secret]) == {"result": "abc def"}


def test_what_is_ours_stays_readable_when_a_secret_looks_like_a_part_of_it() -> None:
    document = {"id": f"{2026:032}", "state": "COMPLETED", "createdAt": "2026-01-02T03:04:05Z", "progress": 2026}
    assert redacted(document, secrets=["2026", "COMPLETED"]) == document


@pytest.mark.parametrize("key", ["id", "state", "createdAt", "jobId", "run"])
@pytest.mark.parametrize("where", ["inputs", "env", "anything"])
def test_a_secret_under_a_name_of_ours_is_hidden_all_the_same(key: str, where: str) -> None:
    assert redacted({where: {key: "s3cret-value"}}) == {where: {key: REDACTED}}
    assert redacted({where: {key: "key-s3cret-value"}}) == {where: {key: f"key-{REDACTED}"}}


@pytest.mark.parametrize("where", ["inputs", "env", "files", "opts", "headers"])
def test_what_looks_like_an_id_is_none_where_users_choose_the_keys(where: str) -> None:
    looks_like_one = "0" * 16 + "abcdef9876543210"
    assert redacted({where: {"id": looks_like_one}}, secrets=[looks_like_one[16:]]) == {
        where: {"id": "0" * 16 + REDACTED}
    }
    assert redacted({"id": looks_like_one}, secrets=[looks_like_one[16:]]) == {"id": looks_like_one}


def test_a_script_of_one_word_is_no_id() -> None:
    assert redacted({"tasks": [{"run": "run-s3cret-value"}]}) == {"tasks": [{"run": f"run-{REDACTED}"}]}


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "cookie", "X-Auth-Token"])
def test_headers_for_credentials_lose_their_values(name: str) -> None:
    document = {"webhooks": [{"headers": {name: "x", "Accept": "x"}}]}
    assert redacted(document) == {"webhooks": [{"headers": {name: REDACTED, "Accept": "x"}}]}


def test_lines_of_a_key_of_several_lines_are_hidden_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\n-----END KEY-----\n"
    assert redact_text("log: MIIEvQIBADANBg, short", [key]) == f"log: {REDACTED}, short"
    assert redact_text(f"<{key}>", [key]) == f"<{REDACTED}\n>"


def test_the_longest_secret_wins() -> None:
    assert redact_text("abcdefgh", ["abcd", "abcdefgh"]) == REDACTED


def test_the_document_itself_is_not_changed() -> None:
    document = {"env": {"SECRET": "x"}, "list": ["s3cret-value"]}
    redacted(document)
    assert document == {"env": {"SECRET": "x"}, "list": ["s3cret-value"]}


def test_redaction_can_be_switched_off() -> None:
    document = {"secrets": {"a": "s3cret-value"}}
    assert Redactor(enabled=False).redact(document, SECRETS) == document
