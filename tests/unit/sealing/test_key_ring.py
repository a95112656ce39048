"""Keys: what opens what, what a key that is not here is told as, and what can't be told from what is sealed."""

from __future__ import annotations

import re

import pytest

from torkd.sealing import Damaged, KeyMissing, KeyRing, SealedBodies, key_ring

WORDS = "correct horse"
RECORDED_KEY_ID = "2d9a8a25"
RECORDED_CIPHERTEXT = "90b5ab2c17a22f9b93ac184026f3a4aa04ab297fcecd69"
OLD, NEW = "the key of before", "the key of now"


def test_what_was_sealed_can_be_opened_in_another_process_with_the_same_words() -> None:
    sealed = KeyRing(WORDS).sealer("message").seal(b"hunter2")
    assert KeyRing(WORDS).sealer("message").open(sealed) == b"hunter2"


def test_the_same_bytes_are_never_sealed_the_same_way_twice() -> None:
    sealer = KeyRing(WORDS).sealer("message")
    sealed = [sealer.seal(b"hunter2") for _ in range(100)]
    assert len({value[17:29] for value in sealed}) == 100, "a nonce was used twice"
    assert not any(b"hunter2" in value for value in sealed)


def test_keys_are_derived_the_same_way_for_ever() -> None:
    """What rests in databases and queues has to be opened by every later version."""
    sealed = bytes.fromhex(
        "01" + RECORDED_KEY_ID + "000102030405060708090a0b" + "0c0d0e0f1011121314151617" + RECORDED_CIPHERTEXT
    )
    ring = KeyRing(WORDS)
    assert ring.key_id == RECORDED_KEY_ID
    assert ring.sealer("message").open(sealed, b"j1") == b"hunter2"


def test_a_new_key_seals_and_the_older_ones_still_open() -> None:
    before = KeyRing(OLD).sealer("message").seal(b"hunter2")
    ring = KeyRing(NEW, [OLD])
    assert ring.sealer("message").open(before) == b"hunter2"
    assert KeyRing(NEW).sealer("message").open(ring.sealer("message").seal(b"hunter3")) == b"hunter3"


def test_older_keys_alone_open_and_seal_nothing() -> None:
    ring = KeyRing(None, [OLD])
    assert not ring.is_sealing
    assert ring.key_id == ""
    assert ring.sealer("message").open(KeyRing(OLD).sealer("message").seal(b"hunter2")) == b"hunter2"


@pytest.mark.parametrize(
    ("ring", "told"),
    [(KeyRing(), "this process has none"), (KeyRing("another"), "none of this process's")],
    ids=["without-keys", "with-another-key"],
)
def test_a_key_that_is_not_here_is_told_in_one_sentence_with_what_to_do(ring: KeyRing, told: str) -> None:
    sealing = KeyRing(WORDS)
    with pytest.raises(KeyMissing) as caught:
        ring.sealer("message").open(sealing.sealer("message").seal(b"hunter2"))
    text = str(caught.value)
    assert f"the encryption key {sealing.key_id}" in text
    assert told in text
    assert "datastore.encryption.key" in text
    assert "datastore.encryption.older_keys" in text
    assert WORDS not in text
    with pytest.raises(KeyMissing):
        ring.raise_if_missing(sealing.key_id)
    sealing.raise_if_missing(sealing.key_id)
    ring.raise_if_missing("")


def test_what_was_sealed_for_one_purpose_or_about_one_thing_is_no_other() -> None:
    ring = KeyRing(WORDS)
    sealed = ring.sealer("column").seal(b"hunter2", b"j1")
    assert ring.sealer("column").open(sealed, b"j1") == b"hunter2"
    with pytest.raises(Damaged):
        ring.sealer("column").open(sealed, b"j2")
    with pytest.raises(Damaged):
        ring.sealer("message").open(sealed, b"j1")


@pytest.mark.parametrize("place", [0, 5, 20, 30, -1], ids=["version", "salt", "nonce", "ciphertext", "tag"])
def test_what_was_changed_is_noticed(place: int) -> None:
    sealer = KeyRing(WORDS).sealer("message")
    sealed = bytearray(sealer.seal(b"hunter2"))
    sealed[place] ^= 1
    with pytest.raises(Damaged):
        sealer.open(bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + b"x" * 43, b"\x02" + b"x" * 100])
def test_what_nobody_sealed_is_damaged_and_no_missing_key(sealed: bytes) -> None:
    with pytest.raises(Damaged, match="not known here"):
        KeyRing(WORDS).sealer("message").open(sealed)


def test_a_salt_is_used_for_a_bounded_number_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "_SEALS_WITH_ONE_SALT", 10)
    sealer = KeyRing(WORDS).sealer("message")
    sealed = [sealer.seal(b"hunter2") for _ in range(40)]
    assert 4 <= len({value[5:17] for value in sealed}) <= 5
    assert {sealer.open(value) for value in sealed} == {b"hunter2"}


def test_bodies_travel_in_clear_without_a_key() -> None:
    bodies = SealedBodies()
    assert bodies.open(bodies.seal(b'{"kind":"run"}')) == b'{"kind":"run"}'
    assert bodies.seal(b'{"kind":"run"}') == b'{"kind":"run"}'
    assert bodies.open_text(bodies.seal_text("why")) == "why"


def test_bodies_are_sealed_once_and_clear_ones_are_still_read() -> None:
    bodies = SealedBodies(KeyRing(WORDS))
    sealed = bodies.seal(b'{"kind":"run"}')
    assert b"run" not in sealed
    assert bodies.seal(sealed) == sealed
    assert bodies.open(sealed) == bodies.open(b'{"kind":"run"}') == b'{"kind":"run"}'


def test_a_text_for_a_header_is_sealed_as_text() -> None:
    bodies = SealedBodies(KeyRing(WORDS))
    sealed = bodies.seal_text("hunter2 is no númber")
    assert re.fullmatch(r"torkd-sealed:[A-Za-z0-9+/=]+", sealed)
    assert bodies.open_text(sealed) == "hunter2 is no númber"
    assert bodies.open_text("in clear") == "in clear"
    with pytest.raises(Damaged):
        bodies.open_text("torkd-sealed:no base64")
